package cloud

import (
	"context"
	"errors"

	"latchkey/delta"
)

func (s *Service) Sites(ctx context.Context) ([]string, error) { return nil, errors.ErrUnsupported }

func (s *Service) SiteKeys(ctx context.Context, site string) (delta.Keys, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) Head(ctx context.Context, site string) (delta.Head, error) {
	return delta.Head{}, errors.ErrUnsupported
}

func (s *Service) Read(ctx context.Context, site string, epoch uint32, after uint64, limit int) ([][]byte, error) {
	return nil, errors.ErrUnsupported
}

func (s *Service) Snapshot(ctx context.Context, site string) (delta.Head, []delta.Change, error) {
	return delta.Head{}, nil, errors.ErrUnsupported
}

func (s *Service) HashAt(ctx context.Context, site string, epoch uint32, seq uint64) (delta.Hash, error) {
	return delta.Hash{}, errors.ErrUnsupported
}

func (s *Service) Hello(ctx context.Context, site string, h *delta.Hello) error {
	return errors.ErrUnsupported
}

func (s *Service) Applied(ctx context.Context, site string, h delta.Head) error {
	return errors.ErrUnsupported
}

func (s *Service) Events(ctx context.Context, site string, e *delta.Events) (upTo uint64, err error) {
	return 0, errors.ErrUnsupported
}

func (s *Service) Result(ctx context.Context, site string, r *delta.Result) error {
	return errors.ErrUnsupported
}

func (s *Service) Proof(ctx context.Context, site string, p *delta.Proof) error {
	return errors.ErrUnsupported
}

func (s *Service) Nack(ctx context.Context, site string, n *delta.Nack) error {
	return errors.ErrUnsupported
}

// Changed receives after commits that appended to any site's log.
func (s *Service) Changed() <-chan struct{} { return nil }
