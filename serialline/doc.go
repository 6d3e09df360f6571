// Package serialline has the serial port that readers and controllers hang on,
// and the serial door link: the open protocol by which a host keeps the tables
// of small door controllers and hears what happens at their doors. The link is
// written down in docs/protocols/serial-door-link.md.
//
// Frame, the payloads (HelloRequest and after), Record, Schedule and Table are
// pure. Client does the talking, Port and Open are the wire.
package serialline
