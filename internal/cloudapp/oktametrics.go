package cloudapp

import (
	"github.com/prometheus/client_golang/prometheus"

	"latchkey/cloud/okta"
)

// An oktaCollector reads how the reading of each organisation's Okta goes when
// the metrics are scraped.
type oktaCollector struct{ okta *okta.Service }

var byOrg = []string{"org"}

var (
	descOktaSuccess  = desc{"latchkey_cloud_okta_last_success_timestamp_seconds", "When Okta was read last without a fault; absent until it was.", byOrg}
	descOktaFailing  = desc{"latchkey_cloud_okta_failing", "1 while Okta cannot be read; latchkey-cloud okta status says why.", byOrg}
	descOktaWaiting  = desc{"latchkey_cloud_okta_waiting", "1 while what was read of Okta waits for a person to confirm it.", byOrg}
	descOktaNotTaken = desc{"latchkey_cloud_okta_objects_not_taken", "Users and groups of Okta that could not be taken.", byOrg}
)

func (c oktaCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []desc{descOktaSuccess, descOktaFailing, descOktaWaiting, descOktaNotTaken} {
		ch <- d.desc()
	}
}

func (c oktaCollector) Collect(ch chan<- prometheus.Metric) {
	for org, h := range c.okta.Health() {
		gauge := func(d desc, v float64) {
			ch <- prometheus.MustNewConstMetric(d.desc(), prometheus.GaugeValue, v, org)
		}
		if !h.LastSuccess.IsZero() {
			gauge(descOktaSuccess, float64(h.LastSuccess.UnixMilli())/1000)
		}
		gauge(descOktaFailing, truth(h.Failing))
		gauge(descOktaWaiting, truth(h.Waiting))
		gauge(descOktaNotTaken, float64(h.NotTaken))
	}
}
