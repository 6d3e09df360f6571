// Package osdp speaks the Open Supervised Device Protocol (SIA OSDP 2.2, IEC
// 60839-11-5) as the controlling panel, the ACU: it turns frames, commands and
// replies into bytes and back, decides whose turn it is on a line with several
// peripheral devices (PDs), and works that line over a port.
//
// frame.go, command.go and reply.go with the files of their messages, key.go
// and secure.go (the secure channel of both ends) know no clock and no port.
// bus.go, and filesend.go with filereceive.go (the two ends of a file transfer),
// decide and do nothing; they get the time as an argument. multipart.go and
// split.go put messages together that do not fit one frame. line.go with
// lineworker.go is the only code that blocks.
//
// Card bits and PINs pass through here. Every type that carries them prints as
// what it is and how long, never as what it holds.
package osdp
