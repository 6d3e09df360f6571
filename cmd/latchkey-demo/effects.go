package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An effect is what a step of a recorded sequence does at the doors: cards, by
// whether they open. "@0" is the card of the sequence's first user.
type effect struct {
	sequence string
	step     int
	cards    map[string]bool
	quiet    bool // no site is told anything
}

// effects are those that the recorded sequences name, in their order.
func effects() []effect {
	opens, stays, refused := map[string]bool{"@0": true}, map[string]bool{"@0": true}, map[string]bool{"@0": false}
	return []effect{
		{sequence: "entra-create-user-with-card", step: 0, cards: map[string]bool{"100{{digits}}": true}},
		{sequence: "entra-disable-string-false", step: 1, cards: refused},
		{sequence: "entra-optscim-disable-boolean", step: 1, cards: refused},
		{sequence: lifeCycle, step: stepOff, cards: refused},
		{sequence: lifeCycle, step: stepOn, cards: opens},
		{sequence: hardDelete, step: stepDelete, cards: refused},
		{sequence: cardChange, step: stepCard, cards: map[string]bool{"@0": false, "200{{digits}}": true}},
		{sequence: "entra-card-first-seen-in-patch", step: 1, cards: map[string]bool{"300{{digits}}": true}},
		{sequence: "entra-null-source-sends-nothing", step: 1, cards: stays},
		{sequence: "entra-repeat-same-patch", step: 2, cards: stays, quiet: true},
		{sequence: "entra-group-add-member-null-ref", step: 2, cards: opens},
		{sequence: "entra-group-remove-member-legacy", step: 5, cards: map[string]bool{"@0": true, "@1": false, "@2": true}},
		{sequence: "entra-group-rename", step: 3, cards: stays},
		{sequence: "entra-group-add-member-twice", step: 3, cards: stays, quiet: true},
		{sequence: "entra-group-delete-keeps-user", step: 3, cards: refused},
		{sequence: "okta-deactivate-reactivate-put", step: 1, cards: refused},
		{sequence: "okta-deactivate-reactivate-put", step: 3, cards: opens},
		{sequence: cardRemoved, step: 1, cards: refused},
		{sequence: cardEmptied, step: 1, cards: refused},
		{sequence: "okta-oin-deactivate-patch", step: 1, cards: refused},
	}
}

// The sequences whose effect is one only where cards are revoked.
const (
	cardRemoved = "okta-card-removed-by-put"
	cardEmptied = "okta-card-emptied-by-put"
)

// recordedEffects plays each recorded sequence that names an effect, and holds
// the cards that it is about to the readers of both sites.
func (k *check) recordedEffects() error {
	all := effects()
	for _, q := range k.entra.seqs {
		for i, step := range q.Steps {
			if step.Effect != "" && !slices.ContainsFunc(all, func(e effect) bool { return e.sequence == q.Name && e.step == i }) {
				return fmt.Errorf("%s, step %d: nothing looks for its effect, %q", q.Name, i, step.Effect)
			}
		}
	}
	kept := map[string]bool{"@0": true}
	for _, name := range []string{cardRemoved, cardEmptied} {
		if err := k.played(name+" where cards are kept, against", name, []effect{{sequence: name, step: 1, cards: kept}}); err != nil {
			return err
		}
	}
	if err := k.cardRemoval("revoke"); err != nil {
		return err
	}
	for len(all) > 0 {
		name := all[0].sequence
		n := slices.IndexFunc(all, func(e effect) bool { return e.sequence != name })
		if n < 0 {
			n = len(all)
		}
		if err := k.played(name, name, all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	return k.cardRemoval("keep")
}

func (k *check) cardRemoval(to string) error {
	return k.admin().do(k.ctx, http.MethodPatch, "/orgs/"+orgA, map[string]string{"card_removal": to}, nil)
}

// played plays a sequence up to its last effect, with a rule that lets its
// people in, and looks at each effect.
func (k *check) played(what, name string, of []effect) error {
	n := slices.IndexFunc(k.entra.seqs, func(q sequence) bool { return q.Name == name })
	if n < 0 {
		return fmt.Errorf("no recorded sequence %s", name)
	}
	s := k.people(1)[0]
	s.vars["RAND"] = strings.ToUpper(s.vars["rand"])
	for i := range 9 {
		s.vars["guid"+strconv.Itoa(i+1)] = k.people(1)[0].vars["guid1"]
	}
	if err := k.letIn(k.entra.seqs[n], s); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	var cards []string
	for i, step := range k.entra.seqs[n].Steps[:of[len(of)-1].step+1] {
		at := slices.IndexFunc(of, func(e effect) bool { return e.step == i })
		var before int
		if at >= 0 {
			var err error
			if before, err = k.ready(what, of[at], cards); err != nil {
				return err
			}
		}
		from, err := k.entra.send(k.ctx, name, i, s, nil)
		if err == nil && step.Method == http.MethodPost && step.Path == "/Users" {
			var card string
			card, err = k.cardOf(s, step.Body, step.Save, len(cards))
			cards = append(cards, card)
		}
		if err != nil {
			return fmt.Errorf("%s, step %d: %w", what, i, err)
		}
		if at < 0 {
			continue
		}
		if err := k.look(what+": "+step.Effect, of[at], s, cards, from, before); err != nil {
			return err
		}
	}
	return nil
}

// ready waits until all that was said before has come to the doors, and the cards
// that are about to be refused open them; it counts what the sites were told.
func (k *check) ready(what string, e effect, cards []string) (told int, err error) {
	if err := k.caughtUp(); err != nil {
		return 0, err
	}
	for card, opens := range e.cards {
		if user, ok := strings.CutPrefix(card, "@"); ok && !opens {
			i, _ := strconv.Atoi(user)
			if err := k.seenAt(what+", before", cards[i], true, "", time.Now(), settleTime); err != nil {
				return 0, err
			}
		}
	}
	return k.told()
}

// look holds the cards of an effect to the readers. One that stays as it was is
// only looked at once all that was said has come to the doors.
func (k *check) look(what string, e effect, s *subject, cards []string, from time.Time, before int) error {
	for card, opens := range e.cards {
		if opens {
			if err := k.caughtUp(); err != nil {
				return err
			}
		}
		if user, ok := strings.CutPrefix(card, "@"); ok {
			i, _ := strconv.Atoi(user)
			card = cards[i]
		}
		if err := k.seenAt(what, strings.ReplaceAll(card, "{{digits}}", s.vars["digits"]), opens, "", from, settleTime); err != nil {
			return err
		}
	}
	if !e.quiet {
		return nil
	}
	switch after, err := k.told(); {
	case err != nil:
		return err
	case after != before:
		return fmt.Errorf("%s: the sites were told %d changes", what, after-before)
	}
	k.say(what, "no site was told anything")
	return nil
}

// caughtUp waits until both sites' agents hold all that their logs say.
func (k *check) caughtUp() error {
	ctx, cancel := context.WithTimeout(k.ctx, settleTime)
	defer cancel()
	c := k.consistency()
	for _, site := range k.info.Sites {
		if err := until(ctx, func() error { return c.site(k.ctx, site) }); err != nil {
			return err
		}
	}
	return nil
}

// told counts what all sites were told ever.
func (k *check) told() (n int, err error) {
	for _, site := range k.info.Sites {
		log, err := k.consistency().log(k.ctx, site.ID)
		if err != nil {
			return 0, err
		}
		n += len(log)
	}
	return n, nil
}

// letIn makes rules that give the people of a sequence the doors of both sites:
// by its group, or by their names where it is not about a group.
func (k *check) letIn(q sequence, s *subject) error {
	condition := map[string]any{"attr": "userName", "op": "co", "value": s.vars["rand"]}
	if strings.Contains(q.Name, "-group-") {
		condition = map[string]any{"group": "Group_" + s.vars["rand"] + "_5"}
	}
	for _, site := range k.info.Sites {
		err := k.admin().post(k.ctx, "/orgs/"+orgA+"/properties/"+site.ID+"/rules", map[string]any{
			"name": q.Name + " " + s.vars["rand"], "enabled": true, "match": "all",
			"conditions": []map[string]any{condition}, "groups": []string{staff},
		}, nil)
		if err != nil {
			return err
		}
	}
	return nil
}

// cardOf is the card that a user was created with, or one that an admin gives
// by hand where the directory gives none.
func (k *check) cardOf(s *subject, body json.RawMessage, save map[string]string, n int) (string, error) {
	var doc map[string]json.RawMessage
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", err
	}
	var ext struct {
		CardNumber string `json:"cardNumber"`
	}
	if raw, ok := doc["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]; ok {
		if err := json.Unmarshal(raw, &ext); err != nil {
			return "", err
		}
	}
	if ext.CardNumber != "" {
		return strings.ReplaceAll(ext.CardNumber, "{{digits}}", s.vars["digits"]), nil
	}
	card := fmt.Sprintf("55%d%s", n, s.vars["digits"])
	for id := range save {
		err := k.admin().post(k.ctx, "/orgs/"+orgA+"/people/"+s.vars[id]+"/cards", map[string]string{"number": card}, nil)
		return card, err
	}
	return "", fmt.Errorf("the sequence does not keep the user's id")
}
