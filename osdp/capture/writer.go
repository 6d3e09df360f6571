package capture

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"latchkey/osdp"
)

// Options say what a trace may show. The zero Options hide what they can.
type Options struct {
	// ShowSecrets keeps what a Writer would blank and Describe would hide: card
	// bits, PINs, keys, templates, smart card messages, files, and the payload
	// of manufacturers' own messages. Blanked data is zero and as long as it
	// was; checks are made anew.
	//
	// Without it a Writer takes no text over that may hold a secret: no comment
	// at all, and of a record that a Reader gave neither Source nor the name of
	// its Line. The lines of such records become line-1, line-2 and so on.
	ShowSecrets bool

	// Source is the program that records, for records that do not say.
	Source string

	// Annotate gives records whose comment is not kept, or that have none, what
	// a Decoder says of them, for whoever looks at the trace with Wireshark.
	Annotate bool

	// Keys are the Decoder's, for Annotate and Describe.
	Keys map[uint8][]osdp.Key
}

// A Writer writes records to a trace. Each Write that has something to write is
// one Write of the io.Writer below, so that a trace can be watched as it grows.
// One goroutine owns it.
type Writer struct {
	w       io.Writer
	format  Format
	options Options
	begun   bool
	pcapng  pcapngEncoder
	whole   assembler
	redact  redactor
	decoder Decoder
	lines   map[string]string // what a foreign line is called, by its name
	buf     []byte
}

// NewWriter writes in format f to w, which the caller closes, after the Writer.
func NewWriter(w io.Writer, f Format, o Options) *Writer {
	o.Source = cleanText(o.Source)
	return &Writer{
		w: w, format: f, options: o,
		pcapng: pcapngEncoder{program: o.Source}, decoder: Decoder{Keys: o.Keys},
	}
}

// Write writes r. It does not keep r.Data. Unless secrets are shown, a record
// that ends inside a frame waits for the rest of it, to be known for what it
// is, and becomes one record with that. An ErrRecord says that r cannot be
// written; nothing of it has been, and the Writer goes on. Any other error is
// the io.Writer's.
func (w *Writer) Write(r Record) error {
	if r.Source == "" {
		r.Source = w.options.Source
	}
	r, err := r.tidy()
	if err != nil {
		return err
	}
	if w.options.ShowSecrets {
		return w.emit([]Record{r})
	}
	return w.emit(w.whole.push(w.hideTexts(r)))
}

// hideTexts takes from r the texts that nobody can blank: a comment may be what
// a Decoder said with secrets shown, and a file may say anything anywhere.
func (w *Writer) hideTexts(r Record) Record {
	r.Comment = ""
	if !r.foreign {
		return r
	}
	r.Source = w.options.Source
	if r.Line != "" {
		r.Line = w.lineName(r.Line)
	}
	return r
}

// lineName is the number that a foreign line has in this trace.
func (w *Writer) lineName(line string) string {
	name, known := w.lines[line]
	if !known {
		if w.lines == nil {
			w.lines = map[string]string{}
		}
		name = fmt.Sprintf("line-%d", len(w.lines)+1)
		w.lines[line] = name
	}
	return name
}

// Close writes what waits, and the head of the file if nothing was written. It
// leaves the io.Writer open.
func (w *Writer) Close() error { return w.emit(w.whole.flush()) }

// emit writes records, and the head of the file before the first.
func (w *Writer) emit(records []Record) error {
	w.buf = w.buf[:0]
	if !w.begun && w.format == PCAPNG {
		w.buf = w.pcapng.begin(w.buf)
	}
	for _, r := range records {
		if w.options.Annotate {
			r.Comment = cmp.Or(r.Comment, w.comment(r))
		}
		if !w.options.ShowSecrets {
			r = w.redact.record(r)
		}
		if err := w.append(r); err != nil {
			return err
		}
	}
	if len(w.buf) == 0 {
		return nil
	}
	w.begun = true
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("capture: write: %w", err)
	}
	return nil
}

// comment is what there is to say of the messages that r completes.
func (w *Writer) comment(r Record) string {
	var parts []string
	for _, m := range w.decoder.Decode(r) {
		parts = append(parts, m.Ends()+":"+lead(m.Name())+lead(m.Text(w.options.ShowSecrets))+" ("+m.Flags()+")")
	}
	text := strings.Join(parts, "; ")
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "")
}

func (w *Writer) append(r Record) (err error) {
	switch w.format {
	case OSDPCap:
		w.buf, err = appendOSDPCap(w.buf, r)
	case PCAPNG:
		w.buf = w.pcapng.append(w.buf, r)
	default:
		err = fmt.Errorf("capture: %v is not written, only %v and %v", w.format, OSDPCap, PCAPNG)
	}
	return err
}
