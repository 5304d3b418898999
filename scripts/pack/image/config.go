package image

import (
	"fmt"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/banyanmq/banyan/scripts/pack/rootfs"
)

const (
	searchPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/"
	source     = "https://github.com/banyanmq/banyan"
)

// about is what differs between the daemons' images, besides the files.
type about struct {
	description string
	ports       []int
	cmd         []string
	limit       int64 // of what is loaded for one platform, compressed
}

func aboutOf(daemon string) (about, error) {
	switch daemon {
	case "hubd":
		return about{"The cluster core of a Banyan region: clients, routes and leaf links", []int{4222, 6222, 8222}, []string{"--config", "nats-server.conf"}, 25e6}, nil
	case "gwd":
		return about{"The border of a Banyan region: gateways to other regions", []int{6222, 7222, 8222}, []string{"--config", "/etc/gwd/gwd.yaml"}, 15e6}, nil
	case "leafd":
		return about{"The edge node of Banyan: local clients, and a link to a hub", []int{4222, 8222}, []string{"--config", "nats-server.conf"}, 15e6}, nil
	}
	return about{}, fmt.Errorf("image: there is no image of %q", daemon)
}

// Config is what a container of a daemon is started with.
func Config(daemon, version, revision string, created time.Time) (v1.Config, error) {
	a, err := aboutOf(daemon)
	if err != nil {
		return v1.Config{}, err
	}
	c := v1.Config{
		User:         fmt.Sprintf("%d:%[1]d", rootfs.User),
		Env:          []string{searchPath},
		Entrypoint:   []string{"/usr/local/bin/" + daemon},
		Cmd:          a.cmd,
		WorkingDir:   "/",
		ExposedPorts: map[string]struct{}{},
		Labels:       labels(daemon, a.description, version, revision, created),
	}
	for _, p := range a.ports {
		c.ExposedPorts[fmt.Sprintf("%d/tcp", p)] = struct{}{}
	}
	return c, nil
}

// labels stand in the configuration, and as annotations in manifests and the index.
func labels(daemon, description, version, revision string, created time.Time) map[string]string {
	const o = "org.opencontainers.image."
	return map[string]string{
		o + "title":         daemon,
		o + "description":   description,
		o + "version":       version,
		o + "revision":      revision,
		o + "source":        source,
		o + "documentation": source + "/blob/main/docs/IMAGES.md",
		o + "licenses":      "Apache-2.0",
		o + "created":       created.UTC().Format(time.RFC3339),
	}
}
