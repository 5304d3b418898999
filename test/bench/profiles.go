//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// profiling fetches a CPU profile of every server for as long as a phase takes and writes it into dir. The function that it
// returns waits for them. Without a directory it does nothing.
func profiling(dir, scenario string, urls []string, phase time.Duration) (stop func() error) {
	if dir == "" {
		return func() error { return nil }
	}
	var wg sync.WaitGroup
	errs := make([]error, len(urls))
	for i, base := range urls {
		path := filepath.Join(dir, fmt.Sprintf("%s-%d.pprof", scenario, i))
		url := fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", profileRoot(base), max(int(phase/time.Second), 1))
		wg.Go(func() { errs[i] = fetch(url, path, phase+patience) })
	}
	return func() error {
		wg.Wait()
		return errors.Join(errs...)
	}
}

// profileRoot is the address that a ports file gives, without a path.
func profileRoot(url string) string {
	scheme, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return scheme + "://" + host
}

// fetch writes what a URL gives into a file.
func fetch(url, path string, within time.Duration) error {
	body, err := get(url, within)
	if err != nil {
		return err
	}
	return os.WriteFile(path, body, 0o644)
}

func get(url string, within time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Close = true
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s %.80q", url, resp.Status, body)
	}
	return body, err
}
