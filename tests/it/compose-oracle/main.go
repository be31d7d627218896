// The reference's answer to a case of tests/it/compose: the project as compose-go prints it, with the case's folder
// written as /srv/NAME. Usage: oracle CASE_FOLDER. Without an answer: exit code 1 and the error on stderr.
//
// A case's "args" file has one option a line: -f FILE, --profile NAME, --env-file FILE, -p NAME, -e NAME=VALUE.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/sirupsen/logrus"
)

type options struct {
	files, profiles, envFiles, env []string
	name                           string
}

func readArgs(dir string) (options, error) {
	o := options{env: []string{"HOME=/home/me"}}
	text, err := os.ReadFile(filepath.Join(dir, "args"))
	if err != nil && !os.IsNotExist(err) {
		return o, err
	}
	for _, line := range strings.Split(strings.TrimSpace(string(text)), "\n") {
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "-f":
			o.files = append(o.files, filepath.Join(dir, value))
		case "--profile":
			o.profiles = append(o.profiles, value)
		case "--env-file":
			o.envFiles = append(o.envFiles, filepath.Join(dir, value))
		case "-p":
			o.name = value
		case "-e":
			o.env = append(o.env, value)
		case "":
		default:
			return o, fmt.Errorf("args: unknown option %q", line)
		}
	}
	if len(o.files) == 0 {
		o.files = []string{filepath.Join(dir, "compose.yaml")}
	}
	return o, nil
}

// As "docker compose config --format json" does it.
func answer(dir string) ([]byte, error) {
	o, err := readArgs(dir)
	if err != nil {
		return nil, err
	}
	os.Setenv("HOME", "/home/me")
	project, err := cli.NewProjectOptions(o.files, cli.WithName(o.name), cli.WithEnv(o.env), cli.WithEnvFiles(o.envFiles...),
		cli.WithDotEnv, cli.WithProfiles(o.profiles), cli.WithDiscardEnvFile)
	if err != nil {
		return nil, err
	}
	p, err := project.LoadProject(context.Background())
	if err != nil {
		return nil, err
	}
	return p.WithoutUnnecessaryResources().MarshalJSON()
}

func run(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	raw, err := answer(dir)
	if err != nil {
		return err
	}
	parent, err := json.Marshal(filepath.Dir(dir))
	if err != nil {
		return err
	}
	raw = bytes.ReplaceAll(raw, bytes.Trim(parent, `"`), []byte("/srv"))
	var model any
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.UseNumber()
	if err := decoder.Decode(&model); err != nil {
		return err
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(model)
}

func main() {
	logrus.SetOutput(io.Discard)
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: oracle CASE_FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
