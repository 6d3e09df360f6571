// Package cloud is the domain of Latchkey's cloud: the directory's people and
// groups, their keycards, the provisioning rules, what each site should hold
// because of them, and each site's log of changes.
//
// A Service does one thing per method, in one transaction of a Store: it
// stores what a directory or an admin said, applies the keycard and the
// provisioning rules, works out what each site of the organisation should now
// hold, and appends the difference to those sites' logs. What a site should
// hold is a pure function (desired) of people, cards, rule outcomes and the
// property; everything else here gathers its arguments or records its result.
package cloud
