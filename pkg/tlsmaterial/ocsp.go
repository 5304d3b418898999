package tlsmaterial

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ocsp"
)

const (
	// maxOCSP is the longest answer of a responder that is read.
	maxOCSP = 1 << 20
	// stapleTimeout limits one question of a responder for our own certificate.
	stapleTimeout = 30 * time.Second
	// defaultSkew is how far the clocks of responders may be off.
	defaultSkew = 30 * time.Second
)

// responders are the HTTP responders that a certificate names.
func responders(c *x509.Certificate) (urls []string) {
	for _, s := range c.OCSPServer {
		if u, err := url.Parse(s); err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" {
			urls = append(urls, s)
		}
	}
	return urls
}

// asker asks responders.
type asker struct{ http *http.Client }

func newAsker() *asker {
	return &asker{&http.Client{Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment,
		// Questions are rare: a connection that waits for the next one only costs.
		DisableKeepAlives: true,
	}}}
}

// ask returns the first responder's answer about a certificate that is signed by who
// may sign it, whatever it says. post tries POST before GET.
func (a *asker) ask(ctx context.Context, urls []string, cert, issuer *x509.Certificate, post bool) ([]byte, *ocsp.Response, error) {
	if len(urls) == 0 {
		return nil, nil, errors.New("no OCSP responder is known for the certificate")
	}
	req, err := ocsp.CreateRequest(cert, issuer, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("making an OCSP request: %w", err)
	}
	var errs []error
	for _, u := range urls {
		if post {
			raw, r, err := a.one(ctx, http.MethodPost, u, req, cert, issuer)
			if err == nil {
				return raw, r, nil
			}
			errs = append(errs, err)
		}
		raw, r, err := a.one(ctx, http.MethodGet, u, req, cert, issuer)
		if err == nil {
			return raw, r, nil
		}
		errs = append(errs, err)
	}
	return nil, nil, errors.Join(errs...)
}

func (a *asker) one(ctx context.Context, method, base string, body []byte, cert, issuer *x509.Certificate) ([]byte, *ocsp.Response, error) {
	target, content := base, io.Reader(bytes.NewReader(body))
	if method == http.MethodGet {
		target, content = strings.TrimSuffix(base, "/")+"/"+url.PathEscape(base64.StdEncoding.EncodeToString(body)), nil
	}
	req, err := http.NewRequestWithContext(ctx, method, target, content)
	if err != nil {
		return nil, nil, fmt.Errorf("OCSP responder %s: %w", base, err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/ocsp-request")
	}
	resp, err := a.http.Do(req)
	if err != nil {
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the encoded request
		}
		return nil, nil, fmt.Errorf("OCSP responder %s: %w", base, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("OCSP responder %s: status %s to %s", base, resp.Status, method)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxOCSP))
	if err != nil {
		return nil, nil, fmt.Errorf("OCSP responder %s: %w", base, err)
	}
	r, err := parseOCSP(raw, cert, issuer)
	if err != nil {
		return nil, nil, fmt.Errorf("OCSP responder %s: %w", base, err)
	}
	return raw, r, nil
}

// parseOCSP reads a response about cert and makes sure that it is signed by its
// issuer, or by whom the issuer lets sign.
func parseOCSP(raw []byte, cert, issuer *x509.Certificate) (*ocsp.Response, error) {
	r, err := ocsp.ParseResponseForCert(raw, cert, issuer)
	if err != nil {
		return nil, err
	}
	// That it was issued by the same authority does not make a certificate one that
	// may speak for it.
	if d := r.Certificate; d != nil && !d.Equal(issuer) {
		if !slices.Contains(d.ExtKeyUsage, x509.ExtKeyUsageOCSPSigning) {
			return nil, fmt.Errorf("the OCSP response is signed by %q, who may not sign such", d.Subject)
		}
		if r.ProducedAt.Before(d.NotBefore) || r.ProducedAt.After(d.NotAfter) {
			return nil, fmt.Errorf("the OCSP response is signed by %q outside of its time", d.Subject)
		}
	}
	return r, nil
}

// expires is until when a response holds. unset counts for one that does not say.
func expires(r *ocsp.Response, unset time.Duration) time.Time {
	if r.NextUpdate.IsZero() {
		return r.ThisUpdate.Add(unset)
	}
	return r.NextUpdate
}

// fresh says that a response holds at a time.
func fresh(r *ocsp.Response, now time.Time, skew, unset time.Duration) error {
	if now.Add(skew).Before(r.ThisUpdate) {
		return fmt.Errorf("the OCSP response is of the future: %s", Date(r.ThisUpdate))
	}
	if e := expires(r, unset); now.Add(-skew).After(e) {
		return fmt.Errorf("the OCSP response is out of date since %s", Date(e))
	}
	return nil
}

func statusName(status int) string {
	switch status {
	case ocsp.Good:
		return "good"
	case ocsp.Revoked:
		return "revoked"
	}
	return "unknown"
}

var (
	featureExtension = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 1, 24}
	statusRequest    = 5
)

// mustStaple tells whether a certificate demands a staple (RFC 7633).
func mustStaple(c *x509.Certificate) bool {
	for _, e := range c.Extensions {
		var features []int
		if !e.Id.Equal(featureExtension) {
			continue
		}
		if _, err := asn1.Unmarshal(e.Value, &features); err == nil && slices.Contains(features, statusRequest) {
			return true
		}
	}
	return false
}
