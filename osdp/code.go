package osdp

import "fmt"

// The command codes, OSDP v2.2 §6.
const (
	CodePOLL         byte = 0x60
	CodeID           byte = 0x61
	CodeCAP          byte = 0x62
	CodeDIAG         byte = 0x63 // reserved, never specified: a RawCommand
	CodeLSTAT        byte = 0x64
	CodeISTAT        byte = 0x65
	CodeOSTAT        byte = 0x66
	CodeRSTAT        byte = 0x67
	CodeOUT          byte = 0x68
	CodeLED          byte = 0x69
	CodeBUZ          byte = 0x6a
	CodeTEXT         byte = 0x6b
	CodeRMODE        byte = 0x6c // withdrawn: a RawCommand
	CodeTDSET        byte = 0x6d // withdrawn; old PDs still take it
	CodeCOMSET       byte = 0x6e
	CodeBIOREAD      byte = 0x73
	CodeBIOMATCH     byte = 0x74
	CodeKEYSET       byte = 0x75
	CodeCHLNG        byte = 0x76
	CodeSCRYPT       byte = 0x77
	CodeACURXSIZE    byte = 0x7b
	CodeFILETRANSFER byte = 0x7c
	CodeMFG          byte = 0x80
	CodeXWR          byte = 0xa1
	CodeABORT        byte = 0xa2
	CodePIVDATA      byte = 0xa3
	CodeGENAUTH      byte = 0xa4
	CodeCRAUTH       byte = 0xa5
	CodeKEEPACTIVE   byte = 0xa7
)

// The reply codes, OSDP v2.2 §7.
const (
	CodeACK       byte = 0x40
	CodeNAK       byte = 0x41
	CodePDID      byte = 0x45
	CodePDCAP     byte = 0x46
	CodeLSTATR    byte = 0x48
	CodeISTATR    byte = 0x49
	CodeOSTATR    byte = 0x4a
	CodeRSTATR    byte = 0x4b
	CodeRAW       byte = 0x50
	CodeFMT       byte = 0x51
	CodeKEYPAD    byte = 0x53
	CodeCOM       byte = 0x54
	CodeBIOREADR  byte = 0x57
	CodeBIOMATCHR byte = 0x58
	CodeEXTPDID   byte = 0x59
	CodeCCRYPT    byte = 0x76
	CodeRMACI     byte = 0x78
	CodeBUSY      byte = 0x79
	CodeFTSTAT    byte = 0x7a
	CodePIVDATAR  byte = 0x80
	CodeGENAUTHR  byte = 0x81
	CodeCRAUTHR   byte = 0x82
	CodeMFGSTATR  byte = 0x83 // deprecated
	CodeMFGERRR   byte = 0x84 // deprecated
	CodeMFGREP    byte = 0x90
	CodeXRD       byte = 0xb1
)

// CommandName is what the standard calls the command with that code, such as
// "POLL", or the code itself, such as "0xE1".
func CommandName(code byte) string {
	return nameOr(code, [256]string{
		CodePOLL: "POLL", CodeID: "ID", CodeCAP: "CAP", CodeDIAG: "DIAG",
		CodeLSTAT: "LSTAT", CodeISTAT: "ISTAT", CodeOSTAT: "OSTAT", CodeRSTAT: "RSTAT",
		CodeOUT: "OUT", CodeLED: "LED", CodeBUZ: "BUZ", CodeTEXT: "TEXT", CodeRMODE: "RMODE", CodeTDSET: "TDSET",
		CodeCOMSET: "COMSET", CodeBIOREAD: "BIOREAD", CodeBIOMATCH: "BIOMATCH",
		CodeKEYSET: "KEYSET", CodeCHLNG: "CHLNG", CodeSCRYPT: "SCRYPT",
		CodeACURXSIZE: "ACURXSIZE", CodeFILETRANSFER: "FILETRANSFER", CodeMFG: "MFG",
		CodeXWR: "XWR", CodeABORT: "ABORT", CodePIVDATA: "PIVDATA", CodeGENAUTH: "GENAUTH", CodeCRAUTH: "CRAUTH",
		CodeKEEPACTIVE: "KEEPACTIVE",
	}[code])
}

// ReplyName is what the standard calls the reply with that code, such as "ACK",
// or the code itself, such as "0xE1".
func ReplyName(code byte) string { return nameOr(code, replyName(code)) }

// replyName is empty for a code that the standard does not have.
func replyName(code byte) string {
	return [256]string{
		CodeACK: "ACK", CodeNAK: "NAK", CodePDID: "PDID", CodePDCAP: "PDCAP",
		CodeLSTATR: "LSTATR", CodeISTATR: "ISTATR", CodeOSTATR: "OSTATR", CodeRSTATR: "RSTATR",
		CodeRAW: "RAW", CodeFMT: "FMT", CodeKEYPAD: "KEYPAD", CodeCOM: "COM",
		CodeBIOREADR: "BIOREADR", CodeBIOMATCHR: "BIOMATCHR", CodeEXTPDID: "EXT_PDID",
		CodeCCRYPT: "CCRYPT", CodeRMACI: "RMAC_I", CodeBUSY: "BUSY", CodeFTSTAT: "FTSTAT",
		CodePIVDATAR: "PIVDATAR", CodeGENAUTHR: "GENAUTHR", CodeCRAUTHR: "CRAUTHR",
		CodeMFGSTATR: "MFGSTATR", CodeMFGERRR: "MFGERRR", CodeMFGREP: "MFGREP", CodeXRD: "XRD",
	}[code]
}

func nameOr(code byte, name string) string {
	if name == "" {
		return fmt.Sprintf("0x%02X", code)
	}
	return name
}
