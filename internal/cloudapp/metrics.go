package cloudapp

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"latchkey/delta"
)

// metrics are what the cloud counts as it goes; what exists elsewhere is read
// at scrape by collector. Labels are ids of properties, methods and classes of
// answers: bounded, and never an organisation, a person or a card.
type metrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

var (
	methods = []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete}
	classes = []string{"2xx", "4xx", "5xx"}
)

// newMetrics registers all of the cloud's metrics.
func newMetrics(reg prometheus.Registerer, l link, events *eventCounter, unwritten func() uint64) (*metrics, error) {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "latchkey_cloud_scim_requests_total", Help: "Calls of directories, by method and class of the answer's code.",
		}, []string{"method", "code"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "latchkey_cloud_scim_request_seconds", Help: "Time from a directory's call to the end of the answer.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
		}, []string{"method"}),
	}
	for _, method := range methods { // 0 is a value, too
		m.seconds.WithLabelValues(method)
		for _, class := range classes {
			m.requests.WithLabelValues(method, class)
		}
	}
	for _, c := range []prometheus.Collector{m.requests, m.seconds, &collector{l, events, unwritten}} {
		if err := reg.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

// observed counts and times what h answers.
func (m *metrics) observed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		answer := &answer{ResponseWriter: w, code: http.StatusOK}
		method := "other" // whatever the caller made up
		for _, known := range methods {
			if r.Method == known {
				method = known
			}
		}
		defer func() {
			m.requests.WithLabelValues(method, strconv.Itoa(answer.code/100)+"xx").Inc()
			m.seconds.WithLabelValues(method).Observe(time.Since(began).Seconds())
		}()
		h.ServeHTTP(answer, r)
	})
}

// An answer remembers the code that went out.
type answer struct {
	http.ResponseWriter
	code int
}

func (a *answer) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// An eventCounter counts the events that the cloud stored since it started, by
// site. Its zero value has none.
type eventCounter struct {
	mu    sync.Mutex
	sites map[string]*storedEvents
}

type storedEvents struct {
	epoch string
	upTo  uint64 // of epoch
	count uint64
}

// store has keep store e, and counts what was new: sites send events again
// until they hear that we have them.
func (c *eventCounter) store(ctx context.Context, site string, e *delta.Events, keep func(context.Context, string, *delta.Events) (uint64, error)) (uint64, error) {
	c.mu.Lock()
	last, ok := c.sites[site]
	known := ok && last.epoch == e.EventEpoch
	var before uint64
	if known {
		before = last.upTo
	}
	c.mu.Unlock()
	if !known { // no events: it only says how far the store is
		var err error
		if before, err = keep(ctx, site, &delta.Events{Header: e.Header, EventEpoch: e.EventEpoch}); err != nil {
			return 0, err
		}
	}
	upTo, err := keep(ctx, site, e)
	if err != nil {
		return upTo, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sites == nil {
		c.sites = map[string]*storedEvents{}
	}
	if last == nil {
		last = &storedEvents{}
		c.sites[site] = last
	}
	last.count += upTo - min(before, upTo)
	last.epoch, last.upTo = e.EventEpoch, upTo
	return upTo, nil
}

func (c *eventCounter) counts() map[string]uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	counts := make(map[string]uint64, len(c.sites))
	for site, s := range c.sites {
		counts[site] = s.count
	}
	return counts
}

// collector reads the state of the links at scrape.
type collector struct {
	link      link
	events    *eventCounter
	unwritten func() uint64 // entries of the audit trail
}

type desc struct {
	name, help string
	labels     []string
}

func (d desc) desc() *prometheus.Desc { return prometheus.NewDesc(d.name, d.help, d.labels, nil) }

var (
	bySite = []string{"site"}

	descInfo      = desc{"latchkey_cloud_info", "The cloud's version, as a label; always 1.", []string{"version"}}
	descBroker    = desc{"latchkey_cloud_broker_connected", "1 while the cloud is connected to the broker.", nil}
	descSites     = desc{"latchkey_cloud_sites", "Sites that this process serves: all, unless several share a database.", nil}
	descOnline    = desc{"latchkey_cloud_sites_online", "Sites that are heard at present.", nil}
	descSent      = desc{"latchkey_cloud_messages_sent_total", "Messages to sites.", nil}
	descReceived  = desc{"latchkey_cloud_messages_received_total", "Messages from sites.", nil}
	descRefused   = desc{"latchkey_cloud_messages_refused_total", "Messages that could not be opened, or are of no site of ours.", nil}
	descDropped   = desc{"latchkey_cloud_messages_dropped_total", "Messages that came faster than they could be taken; the site sends them again.", nil}
	descResent    = desc{"latchkey_cloud_changes_resent_total", "Changes, and parts of snapshots, that were sent again.", nil}
	descUnwritten = desc{"latchkey_cloud_audit_entries_lost", "Entries of the audit trail that could not be stored, and that are not counted in the trail yet.", nil}
	descSnapshots = desc{"latchkey_cloud_snapshots_total", "Snapshots that were begun.", nil}

	descSiteOnline  = desc{"latchkey_cloud_site_online", "1 while the site is heard.", bySite}
	descSiteHead    = desc{"latchkey_cloud_site_head_seq", "The newest change in the site's log, in its epoch.", bySite}
	descSiteApplied = desc{"latchkey_cloud_site_applied_seq", "The newest change that the site has applied; absent until it has spoken to this process.", bySite}
	descSiteLag     = desc{"latchkey_cloud_site_lag_changes", "Changes that the site has not applied; absent until it has spoken to this process.", bySite}
	descSiteFault   = desc{"latchkey_cloud_site_refusing", "1 while the site refuses what it is sent, or the cloud cannot serve it.", bySite}
	descEvents      = desc{"latchkey_cloud_events_stored_total", "Events of the site that were stored, each once.", bySite}
)

func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []desc{
		descInfo, descBroker, descSites, descOnline, descSent, descReceived, descRefused, descDropped, descResent, descUnwritten, descSnapshots,
		descSiteOnline, descSiteHead, descSiteApplied, descSiteLag, descSiteFault, descEvents,
	} {
		ch <- d.desc()
	}
}

func (c *collector) Collect(ch chan<- prometheus.Metric) {
	put := func(d desc, kind prometheus.ValueType, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d.desc(), kind, v, labels...)
	}
	gauge := func(d desc, v float64, labels ...string) { put(d, prometheus.GaugeValue, v, labels...) }
	total := func(d desc, v uint64, labels ...string) { put(d, prometheus.CounterValue, float64(v), labels...) }

	st, sites, events := c.link.Stats(), c.link.SiteStates(), c.events.counts()
	gauge(descInfo, 1, strings.TrimPrefix(Software, "latchkey-cloud "))
	gauge(descBroker, truth(st.Connected))
	gauge(descSites, float64(len(sites)))
	total(descSent, st.Sent)
	total(descReceived, st.Received)
	total(descRefused, st.Bad)
	total(descDropped, st.Dropped)
	total(descResent, st.Resent)
	total(descSnapshots, st.Snapshots)
	gauge(descUnwritten, float64(c.unwritten()))
	online := 0
	for site, s := range sites {
		if s.Online {
			online++
		}
		gauge(descSiteOnline, truth(s.Online), site)
		gauge(descSiteHead, float64(s.Head.Seq), site)
		gauge(descSiteFault, truth(s.Nack != "" || s.Fault != ""), site)
		if s.LastUp.IsZero() {
			continue
		}
		gauge(descSiteApplied, float64(s.Applied.Seq), site)
		gauge(descSiteLag, float64(lag(s.Head, s.Applied)), site)
	}
	gauge(descOnline, float64(online))
	for site := range sites {
		total(descEvents, events[site], site) // 0 is a value, too
	}
}

// lag is how many changes of the log a site has still to apply: all of them
// where it holds another epoch.
func lag(head, applied delta.Head) uint64 {
	if head.Epoch != applied.Epoch {
		return head.Seq
	}
	return head.Seq - min(applied.Seq, head.Seq)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
