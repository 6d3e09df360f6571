package store

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"latchkey/cloud"
)

// personTerms says how each attribute is looked up; each has an index. What
// may be of any length is looked up by its beginning too, which is what
// PostgreSQL can have an index of.
var personTerms = map[string]string{
	"id":           `id = %[1]s`,
	"userName":     `user_name_fold <> '' AND user_name_fold = %[1]s`,
	"externalId":   `external_id <> '' AND substr(external_id, 1, 500) = substr(%[1]s, 1, 500) AND external_id = %[1]s`,
	"displayName":  `name_fold = %[1]s`,
	"cardNumber":   `card_number_fold <> '' AND card_number_fold = %[1]s`,
	"manager":      `manager <> '' AND substr(manager, 1, 500) = substr(%[1]s, 1, 500) AND manager = %[1]s`,
	"pulledId":     `pulled_id <> '' AND pulled_id = %[1]s`,
	"emails.value": `id IN (SELECT person FROM person_email WHERE org = $1 AND substr(value, 1, 500) = substr(%[1]s, 1, 500) AND value = %[1]s)`,
}

// groupTerms likewise.
var groupTerms = map[string]string{
	"id":            `id = %[1]s`,
	"displayName":   `name_fold = %[1]s`,
	"externalId":    `external_id <> '' AND substr(external_id, 1, 500) = substr(%[1]s, 1, 500) AND external_id = %[1]s`,
	"pulledId":      `pulled_id <> '' AND pulled_id = %[1]s`,
	"members.value": `id IN (SELECT grp FROM directory_member WHERE member = %[1]s)`,
}

// folded are the attributes that are stored folded.
var folded = []string{"userName", "displayName", "cardNumber"}

// fold is a text as it is looked up without case. A long one keeps its
// beginning and what tells it from all others, because an index takes no more.
func fold(text string) string {
	const most = 500 // bytes
	text = strings.ToLower(text)
	if len(text) <= most {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return strings.ToValidUTF8(text[:most-2*len(sum)], "") + hex.EncodeToString(sum[:])
}

// lookedUp is the value of a term as its column has it.
func lookedUp(t cloud.Term) string {
	if slices.Contains(folded, t.Attr) {
		return fold(t.Value)
	}
	return t.Value
}

// where is the condition of f; $1 is its organisation.
func where(f cloud.Find, terms map[string]string, people bool) (string, []any, error) {
	cond, args := `org = $1`, []any{f.Org}
	add := func(format string, value any) {
		args = append(args, value)
		cond += ` AND ` + fmt.Sprintf(format, "$"+strconv.Itoa(len(args)))
	}
	if people && f.Origin != "" {
		add(`origin = %s`, f.Origin)
	}
	if f.After != "" {
		add(`id > %s`, f.After)
	}
	for _, term := range f.Terms {
		format, ok := terms[term.Attr]
		if !ok {
			return "", nil, fmt.Errorf("store: no index for attribute %q", term.Attr)
		}
		add(format, lookedUp(term))
	}
	return cond, args, nil
}

// found reads a page of the rows of table that f selects.
func found[T any](t *tx, scan func(scanner) (T, error), columns, table string, f cloud.Find, terms map[string]string, start, count int) ([]T, error) {
	cond, args, err := where(f, terms, table == "person")
	if err != nil {
		return nil, err
	}
	query := `SELECT ` + columns + ` FROM ` + table + ` WHERE ` + cond + ` ORDER BY id`
	if count >= 0 || start > 0 {
		if count < 0 {
			count = 1 << 30
		}
		args = append(args, count, start)
		// A bare $n after LIMIT would make SQLite plan the statement anew for each
		// number: that takes longer than to carry it out.
		query += fmt.Sprintf(` LIMIT $%d + 0 OFFSET $%d + 0`, len(args)-1, len(args))
	}
	return all(t, scan, query, args...)
}

func (t *tx) counted(table string, f cloud.Find, terms map[string]string) (int, error) {
	cond, args, err := where(f, terms, table == "person")
	if err != nil {
		return 0, err
	}
	return one(t, column[int], `SELECT COUNT(*) FROM `+table+` WHERE `+cond, args...)
}
