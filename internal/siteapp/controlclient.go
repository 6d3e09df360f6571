package siteapp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"path/filepath"
)

const (
	maxAnswer  = 4 << 20 // bytes: the quality of all readers that a site can have
	maxRefusal = 64 << 10
)

// A controlClient asks the agent that runs on this machine.
type controlClient struct {
	path string
	http http.Client
}

// newControlClient asks the agent whose state is in dir.
func newControlClient(dir string) *controlClient {
	c := &controlClient{path: filepath.Join(dir, controlName)}
	c.http.Transport = &http.Transport{
		DisableKeepAlives: true, // one question a program
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", c.path)
		},
	}
	return c
}

// do asks; the caller closes the body of an answer.
func (c *controlClient) do(ctx context.Context, method, path string, body any) (io.ReadCloser, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://agent"+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%s: want root or the agent's user to ask the agent: %w", c.path, fs.ErrPermission)
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, fmt.Errorf("no agent answers at %s (%w); `latchkey-agent start` or `latchkey-agent run` starts it", c.path, err)
	case resp.StatusCode == http.StatusOK:
		return resp.Body, nil
	}
	defer resp.Body.Close()
	var r refusal
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxRefusal)).Decode(&r); err != nil || r.Error == "" {
		return nil, fmt.Errorf("the agent at %s answers %s", c.path, resp.Status)
	}
	return nil, errors.New(r.Error)
}

// act asks for an act on a reader, and waits until it is done.
func (c *controlClient) act(ctx context.Context, name string, r keyRequest) error {
	body, err := c.do(ctx, http.MethodPost, "/osdp/"+name, r)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, io.LimitReader(body, maxRefusal))
	return errors.Join(err, body.Close())
}

// quality asks how all readers do.
func (c *controlClient) quality(ctx context.Context) (all []readerQuality, err error) {
	body, err := c.do(ctx, http.MethodGet, "/osdp/quality", nil)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	if err := json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&all); err != nil {
		return nil, fmt.Errorf("the agent's answer: %w", err)
	}
	return all, nil
}
