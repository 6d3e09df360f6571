package osdptest_test

// A deviation is where our PD answers otherwise than the recorded one, and why.
// The step of a recording is counted from 0.
type deviation struct {
	ours, why string
}

// Why our PD deviates.
const (
	devMark        = "libosdp sends no MARK where it got none; ours always does"
	devMirror      = "the reply has the check of the command; libosdp knows only the CRC"
	devSameSeq     = "another command with the sequence number of the last is a jump, not a repeat"
	devJump        = "a jump is NAK 4 with the number that came; libosdp names the one it wants and takes it next, OSDP-Embedded takes any"
	devNoBlock     = "a handshake without its security block is none"
	devNoRecord    = "no record is a wrong length"
	devRecord      = "what cannot be done is NAK 9, in the list of the standard"
	devText        = "libosdp takes 32 characters, ours what a frame holds"
	devKeysetClear = "a key never comes in the clear, whatever it looks like"
	devOutputs     = "ours tells first that OUT changed an output, which libosdp leaves to OSTAT"
	devClearStatus = "libosdp's states come unencrypted under a MAC; ours are encrypted"
	devClearEnds   = "a command in the clear ends the session, and the NAK 6 is in the clear"
	devMac         = "a wrong MAC is met with silence, and the session stays"
	devMacSeq      = "the command before was not taken, so this is a jump; libosdp had no session any more, and OSDP-Embedded takes any number"
	devBlock       = "an unknown block is NAK 5"
	devNoSession   = "that there is no session is NAK 6"
	devSelector    = "the default key is not served, and no other in its place"
	devServer      = "a panel without the key gets RMAC_I with status FF and nothing in it"
	devKind        = "a key of another kind is NAK 9, as OSDP-Embedded says too"
	devGap         = "a file with a hole is no file"
	devLength      = "a wrong length is NAK 2"
	devZero        = "a PD without a key does not take zeros for one"
	devGapTime     = "the rest of a command does not come after 150 ms; libosdp waits for 200, and the number after the lost one is a jump"
	devResync      = "ours finds the command behind the stump"
	devNotKeyed    = "OSDP-Embedded had taken the key in the clear, and wants a session since"
	devKeepActive  = "a reader of no smart cards keeps none active"
	devReserved    = "reserved control bits count as 0"
)

func deviations() map[string]deviation {
	return map[string]deviation{
		"pd-libosdp/basic/basic-integrity-modes#2":           {"ACK, sequence 2", devMark},
		"pd-libosdp/basic/basic-integrity-modes#3":           {"PDID feca00210244332211030201, sequence 0, checksum", devMirror},
		"pd-libosdp/basic/basic-integrity-modes#4":           {"ACK, sequence 1, checksum", devMirror},
		"pd-libosdp/basic/sequence#4":                        {"NAK 04, sequence 2", devSameSeq},
		"pd-libosdp/basic/sequence#5":                        {"NAK 04, sequence 1", devJump},
		"pd-libosdp/basic/sequence#6":                        {"ACK, sequence 3", devJump},
		"pd-libosdp/naks/unknown-and-malformed-commands#10":  {"NAK 03, sequence 1", devKeepActive},
		"pd-libosdp/naks/unknown-and-malformed-commands#14":  {"NAK 05, sequence 2", devNoBlock},
		"pd-libosdp/naks/unknown-and-malformed-commands#21":  {"NAK 02, sequence 3", devNoRecord},
		"pd-libosdp/naks/unknown-and-malformed-commands#22":  {"NAK 09, sequence 1", devRecord},
		"pd-libosdp/naks/unknown-and-malformed-commands#26":  {"NAK 09, sequence 2", devRecord},
		"pd-libosdp/naks/unknown-and-malformed-commands#30":  {"ACK, sequence 3", devText},
		"pd-libosdp/naks/unknown-and-malformed-commands#31":  {"NAK 09, sequence 1", devRecord},
		"pd-libosdp/naks/unknown-and-malformed-commands#34":  {"NAK 06, sequence 1", devKeysetClear},
		"pd-libosdp/naks/unknown-and-malformed-commands#38":  {"OSTATR 01000000, sequence 2", devOutputs},
		"pd-libosdp/naks/unknown-and-malformed-commands#39":  {"MFGREP feca00, sequence 3", devOutputs},
		"pd-libosdp/sc/sc-normal#7":                          {"LSTATR 0000, sequence 3, sealed", devClearStatus},
		"pd-libosdp/sc/sc-plaintext-in-session#3":            {"NAK 06, sequence 3", devClearEnds},
		"pd-libosdp/sc/sc-plaintext-in-session#4":            {"NAK 06, sequence 1", devClearEnds},
		"pd-libosdp/sc/sc-bad-mac#3":                         {"silence", devMac},
		"pd-libosdp/sc/sc-bad-mac#4":                         {"NAK 04, sequence 1, sealed", devMacSeq},
		"pd-libosdp/sc/sc-no-session#3":                      {"NAK 05, sequence 3", devBlock},
		"pd-libosdp/sc/sc-scbk-d-when-keyed#0":               {"NAK 05, sequence 0", devSelector},
		"pd-libosdp/sc/sc-wrong-server-cryptogram#1":         {"RMAC_I, sequence 1, SCS_14 ff", devServer},
		"pd-libosdp/sc/sc-zero-key#1":                        {"RMAC_I, sequence 1, SCS_14 ff", devServer},
		"pd-libosdp/sc/sc-keyset#2":                          {"NAK 09, sequence 2, sealed", devKind},
		"pd-libosdp/sc/sc-keyset#3":                          {"NAK 09, sequence 3, sealed", devKind},
		"pd-libosdp/sc/sc-keyset#7":                          {"RMAC_I, sequence 1, SCS_14 ff", devServer},
		"pd-libosdp/file/file-offset-gap#2":                  {"FTSTAT 010000ffff0000, sequence 2", devGap},
		"pd-libosdp/file/file-starts-nonzero-offset#1":       {"FTSTAT 010000ffff0000, sequence 1", devGap},
		"pd-libosdp/file/file-type-128-and-zero-length#5":    {"NAK 02, sequence 2", devLength},
		"pd-libosdp/install/install-mode#1":                  {"NAK 05, sequence 0", devZero},
		"pd-libosdp/install/install-mode#2":                  {"NAK 05, sequence 1", devZero},
		"pd-libosdp/install/install-mode#7":                  {"NAK 05, sequence 0", devSelector},
		"pd-libosdp/timing/inter-character-gaps#6":           {"silence", devGapTime},
		"pd-libosdp/timing/inter-character-gaps#8":           {"NAK 04, sequence 1", devGapTime},
		"pd-libosdp/timing/garbage-and-resync#4":             {"ACK, sequence 3", devResync},
		"pd-libosdp/crash/file-length-field-mismatch#1":      {"NAK 02, sequence 1", devLength},
		"pd-embedded/basic/sequence#4":                       {"NAK 04, sequence 2", devSameSeq},
		"pd-embedded/basic/sequence#5":                       {"NAK 04, sequence 1", devJump},
		"pd-embedded/naks/unknown-and-malformed-commands#10": {"NAK 03, sequence 1", devKeepActive},
		"pd-embedded/naks/unknown-and-malformed-commands#13": {"NAK 05, sequence 1", devNoBlock},
		"pd-embedded/naks/unknown-and-malformed-commands#14": {"NAK 05, sequence 2", devNoBlock},
		"pd-embedded/naks/unknown-and-malformed-commands#16": {"NAK 02, sequence 1", devLength},
		"pd-embedded/naks/unknown-and-malformed-commands#17": {"NAK 02, sequence 2", devLength},
		"pd-embedded/naks/unknown-and-malformed-commands#18": {"NAK 02, sequence 3", devLength},
		"pd-embedded/naks/unknown-and-malformed-commands#19": {"NAK 02, sequence 1", devLength},
		"pd-embedded/naks/unknown-and-malformed-commands#21": {"NAK 02, sequence 3", devNoRecord},
		"pd-embedded/naks/unknown-and-malformed-commands#22": {"NAK 09, sequence 1", devRecord},
		"pd-embedded/naks/unknown-and-malformed-commands#23": {"NAK 09, sequence 2", devRecord},
		"pd-embedded/naks/unknown-and-malformed-commands#24": {"NAK 02, sequence 3", devLength},
		"pd-embedded/naks/unknown-and-malformed-commands#25": {"NAK 09, sequence 1", devRecord},
		"pd-embedded/naks/unknown-and-malformed-commands#26": {"NAK 09, sequence 2", devRecord},
		"pd-embedded/naks/unknown-and-malformed-commands#28": {"NAK 02, sequence 1", devLength},
		"pd-embedded/naks/unknown-and-malformed-commands#29": {"NAK 02, sequence 2", devLength},
		"pd-embedded/naks/unknown-and-malformed-commands#31": {"NAK 09, sequence 1", devRecord},
		"pd-embedded/naks/unknown-and-malformed-commands#33": {"NAK 06, sequence 3", devKeysetClear},
		"pd-embedded/naks/unknown-and-malformed-commands#35": {"NAK 03, sequence 2", devNotKeyed},
		"pd-embedded/naks/unknown-and-malformed-commands#36": {"NAK 03, sequence 3", devNotKeyed},
		"pd-embedded/naks/unknown-and-malformed-commands#37": {"NAK 03, sequence 1", devNotKeyed},
		"pd-embedded/naks/unknown-and-malformed-commands#38": {"OSTATR 01000000, sequence 2", devReserved},
		"pd-embedded/naks/unknown-and-malformed-commands#39": {"ACK, sequence 3", devNotKeyed},
		"pd-embedded/sc/sc-normal#10":                        {"NAK 02, sequence 3, sealed", devLength},
		"pd-embedded/sc/sc-plaintext-in-session#4":           {"NAK 06, sequence 1", devNoSession},
		"pd-embedded/sc/sc-bad-mac#4":                        {"NAK 04, sequence 1, sealed", devMacSeq},
		"pd-embedded/sc/sc-no-session#1":                     {"NAK 06, sequence 1", devNoSession},
	}
}
