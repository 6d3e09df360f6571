package capture

import (
	"latchkey/osdp"
)

const all = osdp.MaxFrame // of the data: nothing in it is secret

// openCommands says how many bytes of a command's data a redacted trace keeps,
// counted from the code. What is not here keeps none: what nobody knows may be
// a secret.
func openCommands(code byte) int {
	switch code {
	case osdp.CodeID, osdp.CodeCAP:
		return 1
	case osdp.CodeOUT, osdp.CodeLED, osdp.CodeTEXT:
		return all
	case osdp.CodeACURXSIZE, osdp.CodeKEEPACTIVE:
		return 2
	case osdp.CodeBUZ, osdp.CodeCOMSET:
		return 5
	case osdp.CodeTDSET:
		return 7
	case osdp.CodeBIOREAD:
		return 4
	case osdp.CodeBIOMATCH: // reader, type, format, quality, length; then the template
		return 6
	case osdp.CodeKEYSET: // type, length; then the key
		return 2
	case osdp.CodeCHLNG:
		return 8
	case osdp.CodeSCRYPT:
		return 16
	case osdp.CodeFILETRANSFER: // type, total, offset, length; then the fragment
		return 11
	case osdp.CodeMFG: // vendor
		return 3
	case osdp.CodeXWR: // mode, command; then APDUs and PIN entry
		return 2
	case osdp.CodePIVDATA:
		return 6
	case osdp.CodeGENAUTH, osdp.CodeCRAUTH: // the header of a multi-part message
		return 6
	}
	return 0
}

// openReplies is openCommands for replies.
func openReplies(code byte) int {
	switch code {
	case osdp.CodePDCAP, osdp.CodeISTATR, osdp.CodeOSTATR, osdp.CodeRSTATR, osdp.CodeEXTPDID:
		return all
	case osdp.CodeNAK, osdp.CodeMFGSTATR, osdp.CodeMFGERRR:
		return 1
	case osdp.CodeLSTATR:
		return 2
	case osdp.CodePDID:
		return 12
	case osdp.CodeRAW: // reader, format, number of bits; then the card
		return 4
	case osdp.CodeFMT: // reader, direction, number of characters; then the card
		return 3
	case osdp.CodeKEYPAD: // reader, number of keys; then the keys
		return 2
	case osdp.CodeCOM:
		return 5
	case osdp.CodeBIOREADR: // reader, status, type, quality, length; then the template
		return 6
	case osdp.CodeBIOMATCHR:
		return 3
	case osdp.CodeCCRYPT:
		return 32
	case osdp.CodeRMACI:
		return 16
	case osdp.CodeFTSTAT:
		return 7
	case osdp.CodePIVDATAR, osdp.CodeGENAUTHR, osdp.CodeCRAUTHR: // the header of a multi-part message
		return 6
	case osdp.CodeMFGREP: // vendor
		return 3
	case osdp.CodeXRD: // mode, reply; then APDUs and card serial numbers
		return 2
	}
	return 0
}

// blank zeroes what a redacted trace does not keep of the data of a frame.
func blank(reply bool, code byte, data []byte) {
	keep := openCommands(code)
	if reply {
		keep = openReplies(code)
	}
	clear(data[min(keep, len(data)):])
}

// openSelector is blank's rule for the data of a security block: the key
// selector or the status of a handshake.
func openSelector(scb uint8) int {
	if scb >= osdp.SCS11 && scb <= osdp.SCS14 {
		return 1
	}
	return 0
}
