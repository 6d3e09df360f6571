// Package okta reads an Okta organisation by its domain and an API token
// (REQUIREMENTS D9): users, groups, memberships and the System Log.
//
// A Client asks Okta and lives with its paging, rate limits and broken
// connections. A Reader keeps one organisation of ours in step with it. A
// Service does so for all organisations, and keeps their connections.
//
// Nothing here decides what a person may open: what was read goes to
// cloud.Service, which knows who else speaks of that person.
package okta
