package cloudapp

import (
	"github.com/prometheus/client_golang/prometheus"

	"latchkey/cloud/admin/signin"
)

// A signInCollector reads what came of tries to sign in to the administrators'
// pages when the metrics are scraped. Its labels say nothing of an organisation
// or a person.
type signInCollector struct{ signIn *signin.Service }

var descSignIns = desc{
	"latchkey_cloud_sign_ins_total", "Tries to sign in to the administrators' pages, by way (code, account) and outcome (in, refused, slowed, failed).", []string{"way", "outcome"},
}

func (c signInCollector) Describe(ch chan<- *prometheus.Desc) { ch <- descSignIns.desc() }

func (c signInCollector) Collect(ch chan<- prometheus.Metric) {
	for t, n := range c.signIn.Tries() {
		ch <- prometheus.MustNewConstMetric(descSignIns.desc(), prometheus.CounterValue, float64(n), string(t.Way), string(t.Outcome))
	}
}
