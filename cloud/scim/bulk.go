package scim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxBulk is how many operations one Bulk request may have.
const maxBulk = 1000

// A bulkOp is one operation of a Bulk request: RFC 7644 §3.7.
type bulkOp struct {
	method, path, version string
	bulkID                string // "" for none; of a POST what others call its resource
	data                  map[string]any
	needs                 []int          // operations whose resources it names
	result                map[string]any // nil until it has been carried out
	id                    string         // of the resource that a POST made
}

func (o *bulkOp) failed() bool {
	status, _ := o.result["status"].(string)
	return o.result != nil && status >= "400"
}

// A bulkJob is a Bulk request on its way. Each operation is a transaction of
// its own, as if it had been sent alone.
type bulkJob struct {
	c    *call
	ops  []bulkOp
	byID map[string]int // operations by their bulkId
	stop int            // failures after which nothing more is tried; 0: never
}

// bulk serves POST /Bulk.
func (c *call) bulk() error {
	if c.r.Method != http.MethodPost {
		return c.notAllowed("POST")
	}
	body, err := c.body()
	if err != nil {
		return err
	}
	job, err := c.bulkJob(body)
	if err != nil {
		return err
	}
	if err := job.run(); err != nil {
		return err
	}
	results := []any{}
	for i := range job.ops {
		if r := job.ops[i].result; r != nil {
			results = append(results, r)
		}
	}
	return c.send(http.StatusOK, map[string]any{"schemas": []string{bulkResponseURN}, "Operations": results})
}

// bulkJob reads the body of a Bulk request.
func (c *call) bulkJob(body map[string]any) (*bulkJob, error) {
	if c.strict() && !hasSchema(body, bulkRequestURN) {
		return nil, invalidSyntax("schemas: want %s", bulkRequestURN)
	}
	k := key(body, "Operations")
	list, ok := body[k].([]any)
	switch {
	case !ok:
		return nil, invalidSyntax("Operations: got %s, want an array of operations", kindOf(body[k]))
	case len(list) > maxBulk:
		return nil, refuse(http.StatusRequestEntityTooLarge, "", "Operations: got %d, want at most %d", len(list), maxBulk)
	}
	job := &bulkJob{c: c, byID: map[string]int{}, ops: make([]bulkOp, len(list))}
	if v := body[key(body, "failOnErrors")]; v != nil {
		n, ok := v.(json.Number)
		stop, err := strconv.Atoi(n.String())
		if !ok || err != nil || stop < 1 {
			return nil, invalidValue("failOnErrors: want a whole number above 0")
		}
		job.stop = stop
	}
	for i, v := range list {
		op, err := readBulkOp(v)
		if err != nil {
			err.Detail = fmt.Sprintf("Operations[%d]: %s", i, err.Detail)
			return nil, err
		}
		job.ops[i] = op
		if op.bulkID == "" {
			continue
		}
		if _, twice := job.byID[op.bulkID]; twice {
			return nil, invalidValue("Operations[%d]: bulkId: another operation has this one too", i)
		}
		job.byID[op.bulkID] = i
	}
	for i := range job.ops {
		job.findNeeds(&job.ops[i])
	}
	return job, nil
}

func readBulkOp(v any) (op bulkOp, refused *Error) {
	m, ok := v.(map[string]any)
	if !ok {
		return op, invalidSyntax("got %s, want an object", kindOf(v))
	}
	for name, into := range map[string]*string{"method": &op.method, "path": &op.path, "version": &op.version, "bulkId": &op.bulkID} {
		v := m[key(m, name)]
		if *into, ok = v.(string); !ok && v != nil {
			return op, invalidSyntax("%s: got %s, want a string", name, kindOf(v))
		}
	}
	op.method = strings.ToUpper(op.method)
	switch op.method {
	case http.MethodPost:
		if op.bulkID == "" {
			return op, invalidSyntax("bulkId: got none, and POST needs one")
		}
	case http.MethodPut, http.MethodPatch, http.MethodDelete:
	default:
		return op, invalidSyntax("method: got %.20q, want POST, PUT, PATCH or DELETE", op.method)
	}
	if op.path == "" || op.path[0] != '/' {
		return op, invalidValue("path: got %q, want one such as /Users or /Users/ID", clip(op.path))
	}
	data := m[key(m, "data")]
	if op.data, ok = data.(map[string]any); !ok && (data != nil || op.method != http.MethodDelete) {
		return op, invalidSyntax("data: got %s, want an object", kindOf(data))
	}
	return op, nil
}

// bulkRefs calls each with every bulkId that s names: all of s, behind its last
// "/", or between quotes in a filter; and puts what each gives in its place.
func bulkRefs(s string, each func(bulkID string) string) string {
	const word = "bulkId:"
	var out strings.Builder
	for {
		i := strings.Index(s, word)
		if i < 0 {
			break
		}
		end := len(s)
		if i > 0 && s[i-1] != '/' && s[i-1] != '"' {
			out.WriteString(s[:i+len(word)])
			s = s[i+len(word):]
			continue
		}
		if j := strings.IndexAny(s[i:], `"/`); j >= 0 {
			end = i + j
		}
		out.WriteString(s[:i])
		out.WriteString(each(s[i+len(word) : end]))
		s = s[end:]
	}
	out.WriteString(s)
	return out.String()
}

// replaceStrings gives v with f applied to each string in it.
func replaceStrings(v any, f func(string) string) any {
	switch v := v.(type) {
	case string:
		return f(v)
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, x := range v {
			out[k] = replaceStrings(x, f)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, x := range v {
			out[i] = replaceStrings(x, f)
		}
		return out
	}
	return v
}

// findNeeds finds the operations whose resources op names.
func (j *bulkJob) findNeeds(op *bulkOp) {
	see := func(s string) string {
		return bulkRefs(s, func(bulkID string) string {
			if i, ok := j.byID[bulkID]; ok && j.ops[i].method == http.MethodPost {
				op.needs = append(op.needs, i)
			}
			return ""
		})
	}
	see(op.path)
	replaceStrings(op.data, see)
}

// run carries the operations out: in order, but those that name a resource
// that does not exist yet come after the one that makes it.
func (j *bulkJob) run() error {
	failures := 0
	for {
		progress, waiting := false, false
		for i := range j.ops {
			op := &j.ops[i]
			if op.result != nil {
				continue
			}
			if !j.ready(op) {
				waiting = true
				continue
			}
			if err := j.c.ctx.Err(); err != nil {
				return err
			}
			j.do(op)
			progress = true
			if op.failed() {
				failures++
			}
			if j.stop > 0 && failures >= j.stop {
				return nil
			}
		}
		switch {
		case !waiting:
			return nil
		case !progress:
			j.circular()
			return nil
		}
	}
}

// ready says whether all that op names has been tried.
func (j *bulkJob) ready(op *bulkOp) bool {
	for _, i := range op.needs {
		if j.ops[i].result == nil {
			return false
		}
	}
	return true
}

// circular refuses what is left: operations that wait for one another.
func (j *bulkJob) circular() {
	for i := range j.ops {
		if op := &j.ops[i]; op.result == nil {
			j.refuse(op, refuse(http.StatusConflict, "", "the operation names a bulkId whose resource in turn waits for this one; make one first and add the other to it"))
		}
	}
}

func (j *bulkJob) refuse(op *bulkOp, e *Error) {
	op.result = op.answer(j.c.base)
	op.result["status"], op.result["response"] = strconv.Itoa(e.Status), e.body()
}

// answer is what every result says of its operation.
func (o *bulkOp) answer(base string) map[string]any {
	r := map[string]any{"method": o.method}
	if o.bulkID != "" {
		r["bulkId"] = o.bulkID
	}
	if o.method != http.MethodPost {
		r["location"] = base + o.path
	}
	return r
}

// do carries one operation out, like a request of its own.
func (j *bulkJob) do(op *bulkOp) {
	for _, i := range op.needs {
		if j.ops[i].id == "" {
			j.refuse(op, refuse(http.StatusConflict, "", "the operation names a bulkId whose resource could not be made"))
			return
		}
	}
	unknown := ""
	fill := func(s string) string {
		return bulkRefs(s, func(bulkID string) string {
			if i, ok := j.byID[bulkID]; ok && j.ops[i].id != "" {
				return j.ops[i].id
			}
			unknown = bulkID
			return "bulkId:" + bulkID
		})
	}
	op.path = fill(op.path)
	data, _ := replaceStrings(op.data, fill).(map[string]any)
	if unknown != "" {
		j.refuse(op, invalidValue("no POST of this request has the bulkId %q", clip(unknown)))
		return
	}
	rec := &recorder{header: http.Header{}}
	sub := j.c.inside(rec, op, data)
	seg := strings.FieldsFunc(op.path, func(r rune) bool { return r == '/' })
	err := sub.nowhere()
	if len(seg) > 0 && len(seg) <= 2 && (seg[0] == "Users" || seg[0] == "Groups") && seg[len(seg)-1] != ".search" {
		err = sub.route(seg)
	}
	if err != nil {
		sub.fail(err)
	}
	j.note(op, rec)
}

// inside is a call for one operation. Its answer is cut to the id, because
// nobody reads more of it.
func (c *call) inside(w http.ResponseWriter, op *bulkOp, data map[string]any) *call {
	r := (&http.Request{Method: op.method, URL: &url.URL{Path: op.path}, Header: http.Header{}, Body: http.NoBody, Host: c.r.Host}).WithContext(c.ctx)
	if op.version != "" {
		r.Header.Set("If-Match", op.version)
	}
	if data == nil {
		data = map[string]any{}
	}
	return &call{h: c.h, w: w, r: r, ctx: c.ctx, caller: c.caller, base: c.base, params: url.Values{"attributes": {"id"}}, data: data}
}

func (j *bulkJob) note(op *bulkOp, rec *recorder) {
	r := op.answer(j.c.base)
	r["status"] = strconv.Itoa(rec.status)
	if at := rec.header.Get("Content-Location"); at != "" {
		r["location"] = at
	}
	if tag := rec.header.Get("ETag"); tag != "" {
		r["version"] = tag
	}
	if rec.status >= 400 {
		r["response"] = json.RawMessage(rec.body.Bytes())
	} else if op.method == http.MethodPost {
		op.id = rec.id()
	}
	op.result = r
}

// A recorder keeps the answer to one operation.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header         { return r.header }
func (r *recorder) WriteHeader(status int)      { r.status = status }
func (r *recorder) Write(p []byte) (int, error) { return r.body.Write(p) }

// id is the id in the answer, "" where there is none.
func (r *recorder) id() string {
	var doc struct{ ID string }
	if err := json.Unmarshal(r.body.Bytes(), &doc); err != nil {
		return ""
	}
	return doc.ID
}
