// Package cloudapp wires the cloud: its command line, its server, and the
// administrator's commands, which speak to a running cloud.
package cloudapp

import (
	"context"
	"fmt"
	"io"

	"latchkey/internal/program"
)

// A cli is the whole command line. Below a noun, list, show and drop are the
// same three commands for all nouns: see collection. What a plain command calls
// is in its tag: a method and the parts of a path.
type cli struct {
	Serve          serveCmd          `cmd:"" help:"Serve SCIM and the admin API, and publish to the sites."`
	Broker         brokerCmd         `cmd:"" help:"Run the broker of the default set-up by itself."`
	BrokerPassword brokerPasswordCmd `cmd:"" help:"Print the password of a site at our broker."`
	Key            plain[remote]     `cmd:"" call:"GET cloud-key" help:"Print the key that site agents pin."`
	Version        versionCmd        `cmd:"" help:"Print the version."`
	Why            whyCmd            `cmd:"" help:"Say why a person may open a door, or why not."`
	Mapping        mappingCmd        `cmd:"" help:"Print what each attribute of the directory becomes, down to the doors."`

	Org struct {
		List   plain[remote] `cmd:"" call:"GET orgs" help:"List the organisations."`
		Create orgCreateCmd  `cmd:"" help:"Make an organisation."`
		Show   plain[inOrg]  `cmd:"" call:"GET" help:"Show an organisation's settings."`
		Set    orgSetCmd     `cmd:"" help:"Change an organisation's settings."`
		Groups plain[inOrg]  `cmd:"" call:"GET directory-groups" help:"List the groups that the directory sent."`
		Audit  orgAuditCmd   `cmd:"" help:"List what was done, newest first."`

		Sync     plain[inOrg] `cmd:"" call:"GET sync" help:"Say how the directory gets on: last cycle, errors by kind, and what to do."`
		Unmapped plain[inOrg] `cmd:"" call:"GET unmapped" help:"List the attributes that the directory sends and nobody declared."`
	} `cmd:"" help:"Organisations."`
	Token struct {
		List   list[inOrg]    `cmd:"" help:"List the tokens, without the secrets."`
		Create tokenCreateCmd `cmd:"" help:"Make a token. It is shown this once."`
		Rotate tokenRotateCmd `cmd:"" help:"Make a token in place of another, which goes on for a while."`
		Drop   drop[inOrg]    `cmd:"" aliases:"delete" help:"Take a token out of use at once."`
	} `cmd:"" help:"SCIM tokens: what Entra ID or Okta is given."`
	Okta struct {
		Set     oktaSetCmd     `cmd:"" help:"Read Okta by a token, or change how. What the first read would do is shown, and waits for confirm."`
		Status  plain[inOrg]   `cmd:"" call:"GET okta" help:"Say how the reading goes, and what to do."`
		Confirm oktaConfirmCmd `cmd:"" help:"Let what is held go on."`
		Sync    plain[inOrg]   `cmd:"" call:"POST okta sync" help:"Read everything now."`
		Off     oktaOffCmd     `cmd:"" help:"Stop reading, and forget the token. People stay as they are."`
	} `cmd:"" help:"Okta by token: users, groups and suspensions, besides SCIM."`
	Administrator struct {
		List    list[inOrg]         `cmd:"" help:"List those who are named. Admins by a rule are not among them."`
		Set     administratorSetCmd `cmd:"" aliases:"put" help:"Name an administrator, or give one another role, which ends their sessions."`
		Drop    drop[inOrg]         `cmd:"" aliases:"delete" help:"Take an administrator's name off, and end their sessions."`
		SignOut plain[inOrg]        `cmd:"" call:"DELETE sessions" help:"Sign everybody out of the pages, and make sign-in codes worth nothing."`
	} `cmd:"" help:"Who may be at the admin pages, by name."`
	SignInCode plain[inOrg] `cmd:"" call:"POST sign-in-codes" help:"Make a code that lets its bearer into the admin pages as an owner, once. It is shown this once."`
	OIDC       struct {
		Set    oidcSetCmd   `cmd:"" help:"Let an organisation's own accounts sign in, or change how."`
		Status plain[inOrg] `cmd:"" call:"GET oidc" help:"Say how they sign in, what the provider wants to know, and whether it answers."`
		Off    plain[inOrg] `cmd:"" call:"DELETE oidc" help:"Let them not sign in any more, and end their sessions."`
	} `cmd:"" name:"oidc" help:"Sign-in to the admin pages with an organisation's own accounts, of Entra ID, Okta or another provider of OpenID Connect."`
	Badge struct {
		List list[inOrg] `cmd:"" help:"List the badge types."`
		Set  badgeSetCmd `cmd:"" help:"Make a badge type, or change what is said of it."`
		Drop drop[inOrg] `cmd:"" aliases:"delete" help:"Remove a badge type; its cards stay."`
	} `cmd:"" help:"Badge types: how card numbers become bits."`
	Pool struct {
		List list[inOrg] `cmd:"" help:"Say where mobile keys get their numbers, and how many wait for one."`
		Set  poolSetCmd  `cmd:"" help:"Set where mobile keys of a technology get their numbers."`
		Drop drop[inOrg] `cmd:"" aliases:"delete" help:"End a pool; keys that have a number keep it."`
	} `cmd:"" help:"Pools of numbers for Bluetooth keys and Apple Wallet passes."`
	Property struct {
		List   list[inOrg]       `cmd:"" help:"List the properties, and which are not syncing."`
		Set    propertySetCmd    `cmd:"" help:"Make a property, or change what is said of it."`
		Drop   propertyDropCmd   `cmd:"" aliases:"delete" help:"Take everything from a property's doors, and remove it."`
		Status plain[inSite]     `cmd:"" call:"GET status" help:"Say how far a property's agent is."`
		Events propertyEventsCmd `cmd:"" help:"List a property's events, oldest first."`
		Log    propertyLogCmd    `cmd:"" help:"List what was sent to a property, without the cards in it."`
	} `cmd:"" help:"Properties: buildings with an agent."`
	Door struct {
		List list[inSite] `cmd:"" help:"List the doors."`
		Set  doorSetCmd   `cmd:"" help:"Make a door, or change what is said of it."`
		Drop dropHere     `cmd:"" aliases:"delete" help:"Remove a door."`
	} `cmd:"" help:"Doors of a property."`
	Schedule struct {
		List list[inSite]   `cmd:"" help:"List the schedules."`
		Set  scheduleSetCmd `cmd:"" help:"Make or replace a schedule."`
		Drop dropHere       `cmd:"" aliases:"delete" help:"Remove a schedule."`
	} `cmd:"" help:"Schedules of a property: when groups open doors."`
	Group struct {
		List  list[inSite]  `cmd:"" help:"List the door access groups."`
		Set   groupSetCmd   `cmd:"" help:"Make a door access group, or change what is said of it."`
		Drop  dropHere      `cmd:"" aliases:"delete" help:"Remove a door access group."`
		Join  groupJoinCmd  `cmd:"" help:"Put a person into the group by hand."`
		Leave groupLeaveCmd `cmd:"" help:"Take a person out of the group again."`
	} `cmd:"" help:"Door access groups of a property."`
	Rule struct {
		List  list[inSite] `cmd:"" help:"List the rules in the order in which they are asked."`
		Add   ruleAddCmd   `cmd:"" help:"Add a rule after the others."`
		Set   ruleSetCmd   `cmd:"" help:"Change what is said of a rule, or switch it off and on."`
		Drop  dropHere     `cmd:"" aliases:"delete" help:"Remove a rule."`
		Order ruleOrderCmd `cmd:"" help:"Set the order in which rules are asked."`
	} `cmd:"" help:"Provisioning rules of a property."`
	Hold struct {
		List    holdListCmd    `cmd:"" help:"List the losses of access that wait for a person."`
		Show    show[inOrg]    `cmd:"" help:"Show one: who would lose which doors."`
		Confirm holdConfirmCmd `cmd:"" help:"Say that it is meant: it happens now."`
		Discard holdDiscardCmd `cmd:"" help:"Say that it is not meant: it does not happen."`
	} `cmd:"" help:"Changes that would take access from very many, and wait for a person."`
	Person struct {
		List personListCmd `cmd:"" help:"List people, or find one."`
		Show show[inOrg]   `cmd:"" help:"Show one person: cards, rules, groups."`
		Add  personAddCmd  `cmd:"" help:"Add somebody whom no directory knows."`
		Set  personSetCmd  `cmd:"" help:"Suspend a person, let them in again, or change somebody who was added by hand."`
		Drop drop[inOrg]   `cmd:"" aliases:"delete" help:"Delete a person with all cards; a directory that still has them makes them anew."`
	} `cmd:"" help:"People."`
	Card struct {
		Add    cardAddCmd    `cmd:"" help:"Give a person a card by hand."`
		Status cardStatusCmd `cmd:"" help:"Suspend a card or make it active again."`
		Drop   drop[inOrg]   `cmd:"" aliases:"delete" help:"Delete a card."`
	} `cmd:"" help:"Cards."`
}

// collection is where the things of a noun stand, below their organisation or
// property.
func collection(noun string) string {
	switch noun {
	case "badge":
		return "badge-types"
	case "property":
		return "properties"
	case "person":
		return "people"
	}
	return noun + "s"
}

// Main is the cloud's program without the process: arguments in, output and
// exit code out.
func Main(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	env := &program.Env{Context: ctx, Stdout: stdout, Stderr: stderr}
	return program.Run(env, "latchkey-cloud", "Turns an organisation's directory into keycards and door access.", new(cli), args)
}

type versionCmd struct{}

func (versionCmd) Run(e *program.Env) error {
	_, err := fmt.Fprintln(e.Stdout, Software)
	return err
}
