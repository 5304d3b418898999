package console_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// browser is a headless Chromium with one tab, driven by its debugging protocol.
type browser struct {
	t   *testing.T
	ctx context.Context
	ws  *websocket.Conn
	id  int
	// session is that of the tab; complaints are what its console said.
	session    string
	complaints []string
}

// startBrowser skips the test if there is no Chromium.
func startBrowser(t *testing.T) *browser {
	t.Helper()
	exe := ""
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if p, err := exec.LookPath(name); err == nil {
			exe = p
			break
		}
	}
	if exe == "" {
		t.Skipf("%s: no chromium on PATH: apt-get install chromium", t.Name())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	t.Cleanup(cancel)
	dir, err := os.MkdirTemp("", "console-browser-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
		"--remote-debugging-port=0", "--user-data-dir="+dir, "about:blank")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// Its children write to the directory until they are gone, too.
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		for range 100 {
			if os.RemoveAll(dir) == nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		t.Errorf("%s can't be removed", dir)
	})
	var address string
	for end := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		b, err := os.ReadFile(filepath.Join(dir, "DevToolsActivePort"))
		if port, path, ok := strings.Cut(strings.TrimSpace(string(b)), "\n"); err == nil && ok {
			address = "ws://127.0.0.1:" + port + path
			break
		}
		if time.Now().After(end) {
			t.Fatal("chromium does not open its debugging port")
		}
	}
	ws, _, err := websocket.Dial(ctx, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ws.CloseNow() })
	ws.SetReadLimit(64 << 20)
	b := &browser{t: t, ctx: ctx, ws: ws}
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

type message struct {
	ID     int
	Method string
	Params json.RawMessage
	Result json.RawMessage
	Error  *struct{ Message string }
}

// call asks and waits for the answer; what the page complains of meanwhile is kept.
func (b *browser) call(method string, params, result any) {
	b.t.Helper()
	b.id++
	req := map[string]any{"id": b.id, "method": method}
	if params != nil {
		req["params"] = params
	}
	if b.session != "" {
		req["sessionId"] = b.session
	}
	out, err := json.Marshal(req)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.ws.Write(b.ctx, websocket.MessageText, out); err != nil {
		b.t.Fatal(err)
	}
	for {
		_, in, err := b.ws.Read(b.ctx)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var m message
		if err := json.Unmarshal(in, &m); err != nil {
			b.t.Fatal(err)
		}
		switch {
		case m.ID == b.id && m.Error != nil:
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		case m.ID == b.id:
			if result != nil {
				if err := json.Unmarshal(m.Result, result); err != nil {
					b.t.Fatal(err)
				}
			}
			return
		default:
			b.event(&m)
		}
	}
}

func (b *browser) event(m *message) {
	switch m.Method {
	case "Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening":
		b.complaints = append(b.complaints, m.Method+" "+string(m.Params))
	case "Network.requestWillBeSent":
		var p struct{ Request struct{ URL string } }
		if json.Unmarshal(m.Params, &p) == nil && !strings.HasPrefix(p.Request.URL, "http://127.0.0.1:") && p.Request.URL != "about:blank" {
			b.complaints = append(b.complaints, "asks others: "+p.Request.URL)
		}
	}
}

// window sets the size and the colours that the user prefers.
func (b *browser) window(width, height int, scheme string) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

func (b *browser) open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

// eval runs a script and decodes what it gives.
func (b *browser) eval(script string, result any) {
	b.t.Helper()
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true, "awaitPromise": true}, &r)
	if r.ExceptionDetails != nil {
		b.t.Fatalf("%s: %s", script, r.ExceptionDetails)
	}
	if result != nil {
		if err := json.Unmarshal(r.Result.Value, result); err != nil {
			b.t.Fatalf("%s: %v in %s", script, err, r.Result.Value)
		}
	}
}

// until waits for a script to be true.
func (b *browser) until(script string) {
	b.t.Helper()
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(30 * time.Millisecond) {
		var ok bool
		b.eval("!!("+script+")", &ok)
		if ok {
			return
		}
		if time.Now().After(end) {
			var body string
			b.eval("document.body.innerText", &body)
			b.t.Fatalf("waited in vain: %s in\n%s\n%v", script, body, b.complaints)
		}
	}
}

// key presses one.
func (b *browser) key(name string, code int) {
	b.t.Helper()
	for _, kind := range []string{"rawKeyDown", "keyUp"} {
		b.call("Input.dispatchKeyEvent", map[string]any{"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code}, nil)
	}
}

func (b *browser) screenshot(file string) {
	b.t.Helper()
	var r struct{ Data string }
	b.call("Page.captureScreenshot", map[string]any{"format": "png"}, &r)
	data, err := base64.StdEncoding.DecodeString(r.Data)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(file, data, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// TestShots takes pictures of running daemons: BANYAN_SHOTS is a directory, and
// BANYAN_SHOTS_OF lists name=url.
func TestShots(t *testing.T) {
	dir := os.Getenv("BANYAN_SHOTS")
	if dir == "" {
		t.Skip("TestShots: BANYAN_SHOTS names no directory for pictures")
	}
	b := startBrowser(t)
	views := []string{"overview", "links", "connections", "accounts", "settings"}
	if v := os.Getenv("BANYAN_SHOTS_VIEWS"); v != "" {
		views = strings.Split(v, ",")
	}
	for one := range strings.SplitSeq(os.Getenv("BANYAN_SHOTS_OF"), ",") {
		name, url, _ := strings.Cut(one, "=")
		for _, size := range []struct {
			w, h   int
			scheme string
		}{{1600, 1000, "light"}, {1600, 1000, "dark"}, {390, 844, "light"}, {390, 844, "dark"}} {
			b.window(size.w, size.h, size.scheme)
			b.open(url + "/ui/")
			b.until("document.querySelectorAll('.tile').length > 0")
			time.Sleep(7 * time.Second) // for rates to show
			for _, view := range views {
				b.eval(fmt.Sprintf("location.hash = %q", view), nil)
				time.Sleep(400 * time.Millisecond)
				b.screenshot(filepath.Join(dir, fmt.Sprintf("%s-%s-%d-%s.png", name, view, size.w, size.scheme)))
			}
		}
	}
	for _, c := range b.complaints {
		t.Error(c)
	}
}
