package agent

import (
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/access"
	"latchkey/controller"
)

// metrics are what the agent counts as it goes; what exists elsewhere is read
// at scrape by collector.
type metrics struct {
	deltaApply prometheus.Histogram
	decision   prometheus.Histogram
	decisions  *prometheus.CounterVec
}

// newMetrics registers all of the agent's metrics, and state, which is read at
// scrape.
func newMetrics(reg prometheus.Registerer, state prometheus.Collector) (*metrics, error) {
	m := &metrics{
		deltaApply: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "latchkey_delta_apply_seconds", Help: "Time from a delta's turn to its commit on the site's disk.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5},
		}),
		decision: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "latchkey_decision_seconds", Help: "Time from a card's bits to the decision.",
			Buckets: []float64{.000001, .000002, .000005, .00001, .00005, .0001, .001, .01, .1},
		}),
		decisions: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_decisions_total", Help: "Cards that the agent decided on.",
		}, []string{"result"}),
	}
	for _, result := range []string{granted, denied} {
		m.decisions.WithLabelValues(result) // 0 is a value, too
	}
	for _, c := range []prometheus.Collector{m.deltaApply, m.decision, m.decisions, state} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// The results of a decision.
const (
	granted = "granted"
	denied  = "denied"
)

func (m *metrics) decided(ok bool) {
	result := denied
	if ok {
		result = granted
	}
	m.decisions.WithLabelValues(result).Inc()
}

// collector reads the agent's state at scrape. Labels are names from the
// site's configuration: bounded, and never a card or a person.
type collector struct{ a *Agent }

type desc struct {
	name, help string
	labels     []string
}

func (d desc) desc() *prometheus.Desc { return prometheus.NewDesc(d.name, d.help, d.labels, nil) }

var (
	byController = []string{"controller"}
	byReader     = []string{"controller", "reader"}

	descBuild       = desc{"latchkey_agent_info", "The agent's version, as a label; always 1.", []string{"version"}}
	descCloud       = desc{"latchkey_cloud_connected", "1 while the cloud answers this site.", nil}
	descBeat        = desc{"latchkey_cloud_beat_timestamp_seconds", "When the cloud was last heard, unix time; 0 is never.", nil}
	descClock       = desc{"latchkey_clock_error_seconds", "By how much this machine's clock was ahead of the cloud's at the last beat.", nil}
	descLag         = desc{"latchkey_sync_lag_changes", "Changes that the cloud has and this site has not.", nil}
	descSeq         = desc{"latchkey_sync_seq", "The last change applied, in its epoch.", nil}
	descRefused     = desc{"latchkey_messages_refused_total", "Messages from the broker that could not be opened or read.", nil}
	descForks       = desc{"latchkey_stream_forks_total", "Messages that contradicted what the site holds.", nil}
	descBadSnaps    = desc{"latchkey_snapshots_refused_total", "Snapshots that did not verify.", nil}
	descMass        = desc{"latchkey_mass_loss_refused_total", "Messages that would have taken very much access, and that nobody had approved.", nil}
	descReady       = desc{"latchkey_cache_ready", "1 while the site holds a verified state.", nil}
	descCredentials = desc{"latchkey_cache_credentials", "Credentials that the site holds.", nil}
	descQuarantined = desc{"latchkey_cache_quarantined_rows", "Rows that do not verify and are left out.", nil}
	descBlocked     = desc{"latchkey_cache_blocked_refs", "Withdrawn records whose change has not come yet.", nil}
	descCacheBytes  = desc{"latchkey_cache_bytes", "Size of cache.db with its log.", nil}
	descEventBytes  = desc{"latchkey_events_bytes", "Size of events.db with its log.", nil}
	descUnsent      = desc{"latchkey_events_unsent", "Events that the cloud has not stored yet.", nil}
	descWaiting     = desc{"latchkey_events_waiting", "Events in memory because the disk does not take them.", nil}
	descLost        = desc{"latchkey_events_lost_total", "Events that could not be kept; a gap event tells of them.", nil}
	descUnaudited   = desc{"latchkey_unaudited_openings_total", "Doors that opened before their event was on disk.", nil}
	descOverflow    = desc{"latchkey_reader_overflow_total", "Events dropped because a reader sent faster than its door works.", nil}
	descBadParity   = desc{"latchkey_cards_parity_ignored_total", "Cards that were taken in spite of their parity, as the site file asks.", nil}
	descController  = desc{"latchkey_controller_online", "1 while the controller or line answers.", byController}
	descMatch       = desc{"latchkey_controller_table_match", "1 while the controller's table was read back equal to the wanted one.", byController}
	descBehind      = desc{"latchkey_controller_behind_changes", "Changes that the controller is not proven to hold.", byController}
	descCannotHold  = desc{"latchkey_controller_cannot_hold_credentials", "Credentials that this controller cannot hold.", byController}
	descReader      = desc{"latchkey_reader_online", "1 while the reader answers, and is served.", byReader}
	descSecure      = desc{"latchkey_reader_secure", "1 while the reader's line is encrypted with its own key.", byReader}
	descUntrusted   = desc{"latchkey_reader_untrusted", "1 while the reader answers, and is not served because it is not trusted.", byReader}
	descTamper      = desc{"latchkey_reader_tamper", "1 while the reader reports that somebody is at its housing.", byReader}
	descRetries     = desc{"latchkey_reader_retries_total", "Commands that had to be said again.", byReader}
	descCRC         = desc{"latchkey_reader_crc_errors_total", "Answers that came damaged.", byReader}
	descNaks        = desc{"latchkey_reader_naks_total", "Commands that the reader refused, by the code that it gave, in decimal: those of OSDP and of SIA, or other.", []string{"controller", "reader", "code"}}
	descMAC         = desc{"latchkey_reader_mac_errors_total", "Answers in the reader's name that were not authentic.", byReader}
	descClear       = desc{"latchkey_reader_clear_replies_total", "Answers without encryption where it is wanted; they are not believed.", byReader}
	descUnshaken    = desc{"latchkey_reader_refused_handshakes_total", "Secure channels that did not come up.", byReader}
	descShaken      = desc{"latchkey_line_handshakes_total", "Secure channels that came up.", byController}
	descReply       = desc{"latchkey_line_reply_seconds", "Time from a command to the end of its answer.", byController}
	descGap         = desc{"latchkey_line_worst_poll_gap_seconds", "The longest time that a reader which is online was not asked, since the start.", byController}
	descStray       = desc{"latchkey_line_stray_frames_total", "What came on the line and was no answer: echo, other_panel, foreign, late or unasked.", []string{"controller", "kind"}}
)

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []desc{
		descBuild, descCloud, descBeat, descClock, descLag, descSeq, descRefused, descForks, descBadSnaps, descMass, descReady, descCredentials,
		descQuarantined, descBlocked, descCacheBytes, descEventBytes, descUnsent, descWaiting, descLost, descUnaudited, descOverflow, descBadParity,
		descController, descMatch, descBehind, descCannotHold, descReader, descSecure, descUntrusted, descTamper, descRetries, descCRC, descNaks,
		descMAC, descClear, descUnshaken, descShaken, descReply, descGap, descStray,
	} {
		ch <- d.desc()
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	o := output{ch}
	gauge, count := o.gauge, o.count

	gauge(descBuild, 1, strings.TrimPrefix(Software, "latchkey-agent "))
	link, held := c.a.stream.Status(), c.a.cache.Held()
	gauge(descCloud, bit(link.Connected))
	gauge(descBeat, unix(link.LastBeat))
	gauge(descClock, c.a.clock.ahead().Seconds())
	gauge(descLag, float64(lag(link, held)))
	gauge(descSeq, float64(held.Seq))
	count(descRefused, link.Refused)
	count(descForks, link.Forks)
	count(descBadSnaps, link.BadSnaps)
	count(descMass, link.Mass)

	db := c.a.cache.Stats()
	gauge(descReady, bit(db.Ready))
	var credentials int
	c.a.cache.View(func(x *access.Index) { credentials = x.Counts().Credentials })
	gauge(descCredentials, float64(credentials))
	gauge(descQuarantined, float64(db.Quarantined))
	gauge(descBlocked, float64(db.Blocked))
	gauge(descCacheBytes, float64(db.Bytes))

	events := c.a.events.Stats()
	gauge(descEventBytes, float64(events.Bytes))
	gauge(descUnsent, float64(events.Last-min(events.Acked, events.Last))+float64(events.Waiting))
	gauge(descWaiting, float64(events.Waiting))
	count(descLost, events.Lost)
	count(descUnaudited, c.a.doors.unaudited.Load())
	count(descOverflow, c.a.doors.overflow.Load())
	count(descBadParity, c.a.doors.badParity.Load())

	for _, d := range c.a.drivers {
		o.controller(d.Status())
	}
}

// An output takes metrics.
type output struct{ ch chan<- prometheus.Metric }

func (o output) gauge(d desc, v float64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(d.desc(), prometheus.GaugeValue, v, labels...)
}

func (o output) count(d desc, v uint64, labels ...string) {
	o.ch <- prometheus.MustNewConstMetric(d.desc(), prometheus.CounterValue, float64(v), labels...)
}

// some is count of what mostly never happens: it is left out while it has not,
// so that 64 readers stay below 500 series.
func (o output) some(d desc, v uint64, labels ...string) {
	if v > 0 {
		o.count(d, v, labels...)
	}
}

func (o output) controller(st controller.Status) {
	o.gauge(descController, bit(st.Online), st.Name)
	if st.Table != nil {
		o.gauge(descMatch, bit(st.Table.Equal), st.Name)
		o.gauge(descBehind, float64(st.Table.Behind), st.Name)
		o.gauge(descCannotHold, float64(st.Table.CannotHold), st.Name)
	}
	if l := st.Line; l != nil {
		o.ch <- prometheus.MustNewConstHistogram(descReply.desc(), l.Replies.Count, l.Replies.Sum, l.Replies.Buckets, st.Name)
		o.gauge(descGap, l.WorstPollGap, st.Name)
		o.count(descShaken, l.Handshakes, st.Name)
		for kind, n := range l.Strays {
			o.some(descStray, n, st.Name, kind)
		}
	}
	counted := map[uint8]bool{}
	for _, r := range st.Readers {
		o.reader(st.Name, r)
		if !counted[r.Address] { // heads of one device share its counts
			o.exchange(st.Name, r)
		}
		counted[r.Address] = true
	}
}

func (o output) reader(line string, r controller.ReaderStatus) {
	o.gauge(descReader, bit(r.Online), line, r.Name)
	o.gauge(descSecure, bit(r.Secure), line, r.Name)
	o.gauge(descUntrusted, bit(!r.Online && r.Problem != ""), line, r.Name)
	o.gauge(descTamper, bit(r.Tamper), line, r.Name)
}

// exchange is what is counted of the exchange with r.
func (o output) exchange(line string, r controller.ReaderStatus) {
	o.some(descRetries, r.Retries, line, r.Name)
	o.some(descCRC, r.CRCErrors, line, r.Name)
	q := r.Quality
	if q == nil {
		return
	}
	for code, n := range q.NAKs {
		o.some(descNaks, n, line, r.Name, code)
	}
	o.some(descMAC, q.MACErrors, line, r.Name)
	o.some(descClear, q.ClearReplies, line, r.Name)
	o.some(descUnshaken, q.RefusedHandshakes, line, r.Name)
}

// unix is t in unix seconds; 0 for the zero time.
func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}

func bit(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
