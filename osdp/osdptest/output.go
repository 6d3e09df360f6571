package osdptest

import (
	"slices"
	"time"

	"latchkey/osdp"
)

type output struct {
	on      bool        // the permanent state
	timer   *time.Timer // runs while a temporary state holds
	timerOn bool        // the temporary state
	turn    uint64      // tells a timer that it was overtaken
}

func (o *output) now() bool {
	if o.timer != nil {
		return o.timerOn
	}
	return o.on
}

// Output tells whether output n, from 0, is on.
func (p *PD) Output(n int) (on bool) { p.locked(func() { on = p.outputs[n].now() }); return on }

// out carries out OUT: all of its records or none.
func (p *PD) out(c osdp.OUT) osdp.Reply {
	for _, o := range c {
		if int(o.Output) >= len(p.outputs) || o.Action > osdp.OutputOffFor {
			return osdp.NAK{Reason: osdp.NAKRecord}
		}
	}
	for _, o := range c {
		p.drive(int(o.Output), func(out *output) {
			switch o.Action {
			case osdp.OutputOff, osdp.OutputOn:
				p.stop(out)
				out.on = o.Action == osdp.OutputOn
			case osdp.OutputOffAfter, osdp.OutputOnAfter:
				out.on = o.Action == osdp.OutputOnAfter
			case osdp.OutputOnFor, osdp.OutputOffFor:
				p.stop(out)
				if o.Timer > 0 {
					p.start(out, int(o.Output), o.Action == osdp.OutputOnFor, o.Timer)
				}
			}
		})
	}
	if p.cfg.OutputReply {
		p.queue = slices.DeleteFunc(p.queue, func(w waiting) bool { return w.code == osdp.CodeOSTATR && w.reply == nil })
		return p.state(osdp.CodeOSTATR)
	}
	return osdp.ACK{}
}

// drive changes output n and tells whoever wants to know if its state is new.
func (p *PD) drive(n int, change func(*output)) {
	o := &p.outputs[n]
	was := o.now()
	change(o)
	if on := o.now(); on != was {
		p.changed(osdp.CodeOSTATR)
		if p.cfg.OnOutput != nil {
			p.calls = append(p.calls, func() { p.cfg.OnOutput(n, on) })
		}
	}
}

func (p *PD) stop(o *output) {
	if o.timer != nil {
		o.timer.Stop()
		o.timer = nil
	}
	o.turn++
}

func (p *PD) start(o *output, n int, on bool, d time.Duration) {
	turn := o.turn
	o.timerOn = on
	o.timer = time.AfterFunc(d, func() {
		p.locked(func() {
			if p.outputs[n].turn == turn {
				p.drive(n, p.stop)
			}
		})
	})
}
