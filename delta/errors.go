package delta

import "errors"

// Why bytes are no message. Each of them wraps into an error that says more;
// Reason turns them into the word that a Nack carries.
var (
	ErrSize      = errors.New("delta: too large")
	ErrForm      = errors.New("delta: not a signed message in its one form")
	ErrAlgorithm = errors.New("delta: not signed with EdDSA")
	ErrTyp       = errors.New("delta: signed for the other direction")
	ErrKey       = errors.New("delta: signed with a key that is not pinned")
	ErrSignature = errors.New("delta: signature does not hold")
	ErrVersion   = errors.New("delta: version that is not understood")
	ErrType      = errors.New("delta: type that is not understood")
	ErrShape     = errors.New("delta: wrong shape")
	ErrSite      = errors.New("delta: meant for another site")
)

// Reason is the reason of a Nack for err: "size", "signature", "version" or
// "shape".
func Reason(err error) string {
	switch {
	case errors.Is(err, ErrSize):
		return "size"
	case errors.Is(err, ErrForm), errors.Is(err, ErrAlgorithm), errors.Is(err, ErrTyp), errors.Is(err, ErrKey), errors.Is(err, ErrSignature):
		return "signature"
	case errors.Is(err, ErrVersion), errors.Is(err, ErrType):
		return "version"
	default:
		return "shape"
	}
}
