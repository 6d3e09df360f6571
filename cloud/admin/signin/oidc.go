package signin

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"latchkey/cloud"
)

// startPath is where the way to org's provider begins.
func (s *Service) startPath(org, to string) string {
	return Root + "sign-in/" + url.PathEscape(org) + "/start?" + url.Values{"to": {to}}.Encode()
}

// start sends the visitor to the organisation's provider (RFC 6749 §4.1, RFC
// 7636).
func (s *Service) start(w http.ResponseWriter, r *http.Request) error {
	if err := s.slow(w, r, false); err != nil {
		return err
	}
	p, err := s.reach(r.Context(), r.PathValue("org"))
	if err != nil {
		return err
	}
	f := flow{
		Org: r.PathValue("org"), Issuer: p.conn.Issuer, State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(),
		To: localPath(r.FormValue("to")), Until: s.now().Add(flowGood),
	}
	if err := s.setFlow(w, f); err != nil {
		return err
	}
	http.Redirect(w, r, p.oauth.AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), http.StatusSeeOther)
	return nil
}

// reach is org's provider, or why there is none in words. Whether there is an
// organisation is not said.
func (s *Service) reach(ctx context.Context, org string) (*provider, error) {
	p, err := s.provider(ctx, org)
	if err == nil {
		return p, nil
	}
	if errors.Is(err, errNoProvider) {
		return nil, &problem{status: http.StatusNotFound, text: "No organisation of this name signs in with its own accounts. Look at how it is written, or use a sign-in code."}
	}
	conn, _, connErr := s.connection(ctx, org)
	if connErr != nil {
		return nil, connErr
	}
	return nil, &problem{status: http.StatusBadGateway, text: away(conn, err), err: err}
}

// callback takes the visitor back from the provider.
func (s *Service) callback(w http.ResponseWriter, r *http.Request) error {
	if err := s.slow(w, r, false); err != nil {
		return err
	}
	f, ok := s.flow(r)
	s.dropCookie(w, s.flowCookie())
	query := r.URL.Query()
	if !ok || r.PathValue("org") != f.Org || subtle.ConstantTimeCompare([]byte(query.Get("state")), []byte(f.State)) != 1 {
		return &problem{status: http.StatusBadRequest, text: "This sign-in was not begun in this browser, or more than ten minutes ago. Start again."}
	}
	account, err := s.vouched(r.Context(), f, query)
	if err == nil {
		var secret string
		var session cloud.Session
		if secret, session, err = s.cloud.SignIn(r.Context(), f.Org, account); err == nil {
			s.letIn(w, r, secret, session, f.To)
			return nil
		}
	}
	return s.refused(r.Context(), f, account, err)
}

// refused words why the account does not get in. What the cloud refused is in
// its audit trail already.
func (s *Service) refused(ctx context.Context, f flow, account cloud.Account, err error) error {
	p, ok := errors.AsType[*problem](err)
	switch {
	case ok && p.audit:
		if err := s.cloud.RefuseSignIn(ctx, f.Org, "an account of "+cloud.Actor(clip(f.Issuer, 200)), p.text); err != nil {
			return err
		}
	case errors.Is(err, cloud.ErrNotAdministrator):
		return &problem{status: http.StatusForbidden, text: fmt.Sprintf("You came as %s, and that is no administrator of %s. An owner can name you, or a rule can make you one.", account.Email, f.Org)}
	case errors.Is(err, cloud.ErrOtherAccount):
		return &problem{status: http.StatusForbidden, text: fmt.Sprintf("The address %s came with another account before. If that account is gone, an owner removes the administrator and names it again.", account.Email)}
	case errors.Is(err, cloud.ErrChanged):
		return &problem{status: http.StatusConflict, text: "The sign-in was changed meanwhile. Start again."}
	}
	return err
}

// vouched is who the provider says has come.
func (s *Service) vouched(ctx context.Context, f flow, query url.Values) (cloud.Account, error) {
	p, err := s.reach(ctx, f.Org)
	if err != nil {
		return cloud.Account{}, err
	}
	if iss := query.Get("iss"); p.conn.Issuer != f.Issuer || iss != "" && iss != f.Issuer { // RFC 9207
		return cloud.Account{}, &problem{status: http.StatusConflict, text: "The answer is of another provider than the one that was asked. Start again."}
	}
	if code := query.Get("error"); code != "" {
		return cloud.Account{}, saidNo(code, query.Get("error_description"))
	}
	raw, err := s.redeem(ctx, f, p, query.Get("code"))
	if err != nil {
		return cloud.Account{}, err
	}
	token, err := p.verifier.Verify(ctx, raw)
	if late, ok := errors.AsType[*oidc.TokenExpiredError](err); ok {
		return cloud.Account{}, &problem{status: http.StatusForbidden, text: clockWords(s.now(), late.Expiry), err: err, audit: true}
	}
	if err != nil && strings.Contains(err.Error(), "fetching keys") { // go-oidc keeps no error of it in the chain
		return cloud.Account{}, &problem{status: http.StatusBadGateway, text: "Your provider does not say the keys that it signs with. Try again.", err: err}
	}
	if err != nil {
		return cloud.Account{}, &problem{status: http.StatusForbidden, text: "Your provider's answer does not hold: its signature, its issuer or whom it is for is wrong. Whoever runs the cloud finds the reason in its log.", err: err, audit: true}
	}
	return s.account(p, token, f.Nonce)
}

// oauthError is what RFC 6749 lets an error's name be, and short.
var oauthError = regexp.MustCompile(`^[a-z_]{1,40}$`)

// saidNo words what a provider sends people back with (RFC 6749 §4.1.2.1).
// Whoever has begun a sign-in can send themselves back like that, so that it is
// nothing for an organisation's audit trail, which is kept for good.
func saidNo(code, description string) error {
	text := "Your provider did not let you in."
	if oauthError.MatchString(code) {
		text = "Your provider did not let you in: " + strings.ReplaceAll(code, "_", " ") + "."
	}
	return &problem{status: http.StatusForbidden, text: text, err: fmt.Errorf("signin: the provider said %q: %q", clip(code, 80), clip(description, 300))}
}

// redeem gets the ID token for a code.
func (s *Service) redeem(ctx context.Context, f flow, p *provider, code string) (string, error) {
	secret, err := s.secret(f.Org, p.conn)
	if err != nil {
		return "", &problem{status: http.StatusServiceUnavailable, text: "The cloud cannot open its client secret. An owner has to set it again.", err: err}
	}
	config := p.oauth
	config.ClientSecret = secret
	token, err := config.Exchange(oidc.ClientContext(ctx, s.client), code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return "", exchangeProblem(p.conn, err)
	}
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return "", &problem{status: http.StatusBadGateway, text: "Your provider sent no ID token.", err: errors.New("signin: the token endpoint's answer has no id_token")}
	}
	return raw, nil
}

// exchangeProblem words what came of a code. The provider's own words may
// repeat what we sent, so only the error's name is logged.
func exchangeProblem(conn connection, err error) error {
	said, ok := errors.AsType[*oauth2.RetrieveError](err)
	if !ok {
		return &problem{status: http.StatusBadGateway, text: away(conn, err), err: err}
	}
	log := fmt.Errorf("signin: the token endpoint of %s answered %s, %q", clip(conn.Issuer, 200), said.Response.Status, clip(said.ErrorCode, 80))
	switch {
	case said.ErrorCode == "invalid_client", said.ErrorCode == "unauthorized_client", said.Response.StatusCode == http.StatusUnauthorized:
		return &problem{status: http.StatusBadGateway, text: "Your provider does not take the cloud's client secret: it is wrong, or has expired. An owner has to set it again.", err: log}
	case said.ErrorCode == "invalid_grant":
		return &problem{status: http.StatusForbidden, text: "The answer of your provider was used already, or is too old. Start again.", err: log} // anybody can make up a code: see saidNo
	}
	return &problem{status: http.StatusBadGateway, text: fmt.Sprintf("Your provider answered with an error (%d). Try again.", said.Response.StatusCode), err: log}
}
