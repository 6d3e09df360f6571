package peer

import (
	"encoding/hex"
	"fmt"
	"time"

	"latchkey/osdp"
)

// tick is the unit of most times in OSDP.
const tick = 100 * time.Millisecond

// The kinds of status reports, as libosdp counts them.
const (
	statusInput = iota
	statusOutput
	statusLocal
	statusReader
)

// records puts c into libosdp's words: a report for each of its records, as its
// PD tells of it and as its control panel is told. They hold what the Python
// module can say: of a LED record, one of the two blocks.
func records(c osdp.Command) ([]Report, error) {
	switch c := c.(type) {
	case osdp.OUT:
		var all []Report
		for _, o := range c {
			all = append(all, Report{"name": "OUT", "output_no": o.Output, "control_code": int(o.Action), "timer_count": int(o.Timer / tick)})
		}
		return all, nil
	case osdp.LED:
		var all []Report
		for _, l := range c {
			r, err := ledRecord(l)
			if err != nil {
				return nil, err
			}
			all = append(all, r)
		}
		return all, nil
	case osdp.BUZ:
		return []Report{{"name": "BUZ", "reader": c.Reader, "control_code": c.Tone, "on_count": int(c.On / tick),
			"off_count": int(c.Off / tick), "rep_count": c.Count}}, nil
	case osdp.TEXT:
		return []Report{{"name": "TEXT", "reader": c.Reader, "control_code": c.Mode, "temp_time": int(c.Time / time.Second),
			"offset_row": c.Row, "offset_col": c.Col, "data": c.Text}}, nil
	case osdp.COMSET:
		return []Report{{"name": "COMSET", "address": c.Addr, "baud_rate": c.Baud}}, nil
	case osdp.ISTAT:
		return []Report{{"name": "STATUS", "type": statusInput}}, nil
	case osdp.OSTAT:
		return []Report{{"name": "STATUS", "type": statusOutput}}, nil
	case osdp.LSTAT:
		return []Report{{"name": "STATUS", "type": statusLocal}}, nil
	case osdp.RSTAT:
		return []Report{{"name": "STATUS", "type": statusReader}}, nil
	}
	data, err := c.AppendData(nil)
	if err != nil {
		return nil, err
	}
	switch {
	case c.Code() == osdp.CodeMFG && len(data) > 3:
		vendor := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
		return []Report{{"name": "MFG", "vendor_code": vendor, "data": hex.EncodeToString(data[3:])}}, nil
	case c.Code() == osdp.CodeKEYSET && len(data) > 2:
		return []Report{{"name": "KEYSET", "type": data[0], "data": hex.EncodeToString(data[2:])}}, nil
	}
	return nil, fmt.Errorf("peer: libosdp has no words for command 0x%02x with %d bytes", c.Code(), len(data))
}

func ledRecord(l osdp.LEDControl) (Report, error) {
	block, temporary := l.Permanent, false
	switch {
	case l.Temporary.Code == osdp.LEDNop:
	case l.Permanent.Code == osdp.LEDNop:
		block, temporary = l.Temporary, true
	default:
		return nil, fmt.Errorf("peer: libosdp's Python module has words for one block of a LED record, got both")
	}
	r := Report{"name": "LED", "reader": l.Reader, "led_number": l.LED, "temporary": temporary, "control_code": block.Code,
		"on_count": int(block.On / tick), "off_count": int(block.Off / tick), "on_color": int(block.OnColor), "off_color": int(block.OffColor)}
	if temporary {
		r["timer_count"] = int(l.Timer / tick)
	}
	return r, nil
}

// event puts r into libosdp's words: as its PD is told to send it, and as its
// control panel tells of it.
func event(r osdp.Reply) (Report, error) {
	data, err := r.AppendData(nil)
	if err != nil {
		return nil, err
	}
	status := func(kind int) (Report, error) {
		return Report{"name": "STATUS", "type": kind, "report": hex.EncodeToString(data)}, nil
	}
	switch r := r.(type) {
	case osdp.RAW:
		size := (r.Bits + 7) / 8
		return Report{"name": "RAW", "reader_no": r.Reader, "format": int(r.CardFormat), "direction": 0, "length": r.Bits,
			"data": hex.EncodeToString(r.Data[:size])}, nil
	case osdp.KEYPAD:
		return Report{"name": "KEYPAD", "reader_no": r.Reader, "data": hex.EncodeToString(r.Keys)}, nil
	case osdp.ISTATR:
		return status(statusInput)
	case osdp.OSTATR:
		return status(statusOutput)
	case osdp.LSTATR:
		return status(statusLocal)
	case osdp.RSTATR:
		return status(statusReader)
	}
	if r.Code() == osdp.CodeMFGREP && len(data) > 3 {
		vendor := int(data[0]) | int(data[1])<<8 | int(data[2])<<16
		return Report{"name": "MFGREP", "vendor_code": vendor, "data": hex.EncodeToString(data[3:])}, nil
	}
	return nil, fmt.Errorf("peer: libosdp has no words for reply 0x%02x with %d bytes", r.Code(), len(data))
}
