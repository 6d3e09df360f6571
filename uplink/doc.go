// Package uplink is all of MQTT, for both ends: nothing else of Latchkey knows
// that there is a broker.
//
// The broker is a pipe and not a memory. It may lose, double and reorder what
// it carries, and it may go away and come back; sessions are clean and nothing
// is asked of it but to carry. The cloud's database owns each site's log, the
// site's own how far it got, and a go-back-N window per site brings the two
// together. That makes every broker do: NATS, Mosquitto, EMQX, HiveMQ, AWS IoT.
//
// The quality of service is a setting and 0 by default, at both ends and for
// every broker: what QoS 1 would add, a word from the broker that it has the
// message, is worth nothing to a protocol that waits for a word from the site,
// while on NATS a QoS 1 subscription costs a JetStream consumer (at 1,000 sites
// a twentieth of the throughput). Choose 1 where a broker limits or drops QoS 0.
//
// Topics, where SITE is the site's id: latchkey/1/SITE/down, cloud to site;
// latchkey/1/SITE/up, site to cloud; latchkey/1/SITE/state, retained, with a
// last will: a hint for displays, no rule reads it. latchkey/1/cloud/up is the
// cloud's word to itself, by which it finds a broker that carries nothing.
package uplink

import "strings"

const topicPrefix = "latchkey/1/"

// cloudID stands where a site's id would. No site can have it (delta.CheckSite).
const cloudID = "cloud"

func downTopic(site string) string  { return topicPrefix + site + "/down" }
func upTopic(site string) string    { return topicPrefix + site + "/up" }
func stateTopic(site string) string { return topicPrefix + site + "/state" }

// siteOfUp is the site whose up topic this is.
func siteOfUp(topic string) (site string, ok bool) {
	rest, ok := strings.CutPrefix(topic, topicPrefix)
	if !ok {
		return "", false
	}
	site, ok = strings.CutSuffix(rest, "/up")
	return site, ok && !strings.Contains(site, "/")
}
