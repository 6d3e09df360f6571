package oidctest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// token gives an ID token for a code, once (RFC 6749 §4.1.3, RFC 7636 §4.6).
func (p *Provider) token(w http.ResponseWriter, r *http.Request, lies Lies) {
	id, secret, _ := r.BasicAuth()
	if posted := r.PostFormValue("client_id"); posted != "" {
		id, secret = url.QueryEscape(posted), url.QueryEscape(r.PostFormValue("client_secret"))
	}
	if id != ClientID || secret != url.QueryEscape(Secret) || lies.BadSecret {
		write(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client", "error_description": secret})
		return
	}
	p.mu.Lock()
	code := r.PostFormValue("code")
	g, ok := p.grants[code]
	delete(p.grants, code)
	p.mu.Unlock()
	proof := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !ok || g.redirect != r.PostFormValue("redirect_uri") || g.challenge != base64.RawURLEncoding.EncodeToString(proof[:]) {
		write(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant"})
		return
	}
	answer := map[string]any{"access_token": rand.Text(), "token_type": "Bearer", "expires_in": 3600}
	if !lies.NoToken {
		token, err := p.idToken(g, lies)
		if err != nil {
			write(w, http.StatusInternalServerError, map[string]string{"error": "server_error"})
			return
		}
		answer["id_token"] = token
	}
	write(w, http.StatusOK, answer)
}

// idToken is OpenID Connect Core §2.
func (p *Provider) idToken(g grant, lies Lies) (string, error) {
	now := p.now()
	claims := map[string]any{
		"iss": p.Issuer, "aud": ClientID, "sub": "subject-1", "nonce": g.nonce, "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}
	p.mu.Lock()
	maps.Copy(claims, p.claims)
	var key any = p.key
	p.mu.Unlock()
	replace(claims, lies.Claims)
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	algorithm := jose.ES256
	switch {
	case lies.NoneAlg:
		header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`))
		return header + "." + base64.RawURLEncoding.EncodeToString(payload) + ".", nil
	case lies.Symmetric:
		algorithm, key = jose.HS256, []byte(Secret)
	case lies.OtherKey:
		if key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			return "", err
		}
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: jose.JSONWebKey{Key: key, KeyID: keyID}}, nil)
	if err != nil {
		return "", err
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // what cannot be written has no reader any more
}
