//go:build unix

package process

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
)

func TestExists(t *testing.T) {
	if !Exists(os.Getpid()) {
		t.Error("this process is not there")
	}
	c := exec.Command("sleep", "60")
	if err := c.Start(); err != nil {
		t.Skipf("no sleep: %v", err)
	}
	if !Exists(c.Process.Pid) {
		t.Error("a child is not there")
	}
	if err := Send(c.Process.Pid, Drain); err != nil {
		t.Error(err)
	}
	if err := c.Wait(); err == nil || c.ProcessState.Sys().(syscall.WaitStatus).Signal() != syscall.SIGUSR2 {
		t.Errorf("the child ended with %v", err)
	}
	if Exists(c.Process.Pid) {
		t.Error("a child that was waited for is there")
	}
}
