// Package wiegand turns card bits into fields and back, by formats that are
// data: lengths, fields, fixed bits, parities and checksums.
package wiegand
