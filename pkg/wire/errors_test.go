package wire

import "testing"

func TestErrorTexts(t *testing.T) {
	for _, tc := range []struct{ got, want string }{
		{TextPublishViolation("foo"), `Permissions Violation for Publish to "foo"`},
		{TextPublishViolation("a\"b\x01\u00e9"), `Permissions Violation for Publish to "a\"b\x01` + "\u00e9" + `"`},
		{TextReplyViolation("_R_.x"), `Permissions Violation for Publish with Reply of "_R_.x"`},
		{TextSubscribeViolation("foo.>", ""), `Permissions Violation for Subscription to "foo.>"`},
		{TextSubscribeViolation("foo", "q"), `Permissions Violation for Subscription to "foo" using queue "q"`},
		{TextTooManyTokens("a.b.c"), `Permissions Violation for Subscription to "a.b.c", too many tokens`},
		{TextSubscriptionRemoved("foo", "", "1"), `Permissions Violation for Subscription to "foo" (sid "1")`},
		{TextSubscriptionRemoved("foo", "q", "1"), `Permissions Violation for Subscription to "foo" using queue "q" (sid "1")`},
		{TextUnsupportedCompression("x"), `unsupported route compression mode "x"`},
		{TextGatewayOnRoutePort("ZZ"), `Rejecting connection from gateway "ZZ" on the Route port`},
		{TextGatewayOnLeafPort("GW1"), `Rejecting connection from gateway "GW1" on the leafnode port`},
		{TextClusterNameConflict("a", "b"), `Rejecting connection, cluster name "a" does not match "b"`},
		{TextInvalidPoolIndex(7, 3), `Invalid route pool index: 7 - pool size is 3`},
		{TextInvalidPoolIndex(-1, 3), `Invalid route pool index: -1 - pool size is 3`},
		{TextPoolIndexSet(2), `Route pool index should not be set but is set to 2`},
		{TextRouteAccountMissing("A"), `Unable to lookup account "A": account missing`},
		{TextNoRouteForAccount("A"), `No route for account "A"`},
		{TextNoDedicatedRoute("A"), `Not possible to have a dedicated route for account "A" between those servers`},
		{TextGatewayRejected("A"), `Connection to gateway "A" rejected`},
		{TextGatewayWrongPort("B"), `Attempt to connect to gateway "B" using wrong port`},
		{TextGatewayWrongName("A", "B", "C"), `Connection from "A" rejected, wanted to connect to "B", this is "C"`},
		{TextMinVersion("2.9.0"), `connection rejected since minimum version required is "2.9.0"`},
		{TextLoopDetected("$G"), `Loop detected for leafnode account="$G". Delaying attempt to reconnect for 30s`},
		{TextServerBusy(1500), `Server Busy, retry after 1500`},
	} {
		if tc.got != tc.want {
			t.Errorf("got %s, want %s", tc.got, tc.want)
		}
	}
}

// Which of the parsers' errors speak, and what monitoring then shows.
func TestProtoErrors(t *testing.T) {
	for _, tc := range []struct {
		err          *ProtoError
		text, reason string
	}{
		{ErrUnknownOp, "Unknown Protocol Operation", "Protocol Violation"},
		{ErrControlLine, "maximum control line exceeded", "Maximum Control Line Exceeded"},
		{ErrMaxPayload, "Maximum Payload Violation", "Maximum Message Payload Exceeded"},
		{ErrArguments, "", "Protocol Violation"},
		{ErrBadJSON, "", "Protocol Violation"},
		{ErrHeadersNotSet, "", "Protocol Violation"},
	} {
		if tc.err.Text != tc.text || tc.err.Reason.String() != tc.reason || tc.err.Error() == "" {
			t.Errorf("%v: %q, %q", tc.err, tc.err.Text, tc.err.Reason)
		}
	}
}

func TestCloseReasons(t *testing.T) {
	seen := map[string]CloseReason{}
	for r := range reasonCount {
		text := r.String()
		if other, twice := seen[text]; twice || text == "" {
			t.Errorf("%d and %d are both %q", r, other, text)
		}
		seen[text] = r
	}
	if CloseReason(255).String() != "Unknown State" {
		t.Error("an unknown reason must say so")
	}
	dropping := map[CloseReason]bool{ReasonTLSHandshake: true, ReasonSlowPending: true, ReasonSlowWrite: true, ReasonWriteError: true, ReasonReadError: true}
	for r := range reasonCount {
		if r.Drops() != dropping[r] {
			t.Errorf("%s drops output: %v", r, r.Drops())
		}
	}
}

func TestKindNames(t *testing.T) {
	seen := map[string]bool{}
	for k := range kindCount {
		if name := k.String(); name == "" || seen[name] {
			t.Errorf("kind %d: %q", k, name)
		} else {
			seen[name] = true
		}
	}
	if Kind(200).String() != "unknown" {
		t.Error(Kind(200).String())
	}
}
