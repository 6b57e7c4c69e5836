// Runs the cells of a Go notebook in the interpreter Yaegi, for go_kernel.py.
//
// Each line of the standard input is a request in JSON, and gets one line on the file that the first argument numbers:
// {"code": …} evaluates a cell, {"complete": …} asks how an identifier that stands at the end of a text may go on. What
// a cell prints goes to the standard output and error. SIGINT ends a cell; the end of the input ends the program.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"os"
	"os/signal"
	"path"
	"reflect"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/traefik/yaegi/interp"
	"github.com/traefik/yaegi/stdlib"
)

type request struct {
	Code     string `json:"code"`
	Complete string `json:"complete"`
}

type reply struct {
	// Value of the cell's last line, where that is an expression.
	Value   string   `json:"value,omitempty"`
	Error   string   `json:"error,omitempty"`
	Matches []string `json:"matches,omitempty"`
	// Length of the text that a match replaces, in characters.
	Replaces int `json:"replaces,omitempty"`
}

func main() {
	number, err := strconv.Atoi(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	session, err := newSession(interrupts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	answers := json.NewEncoder(os.NewFile(uintptr(number), "replies"))
	for request := range requests() {
		if request.Complete != "" {
			answers.Encode(session.complete(request.Complete))
		} else {
			answers.Encode(session.run(request.Code))
		}
	}
}

// requests reads the input beside what runs, so that its end also ends a cell that never would.
func requests() <-chan request {
	received := make(chan request)
	go func() {
		input := json.NewDecoder(bufio.NewReader(os.Stdin))
		for {
			var next request
			if input.Decode(&next) != nil {
				os.Exit(0)
			}
			received <- next
		}
	}()
	return received
}

type session struct {
	interpreter *interp.Interpreter
	interrupts  <-chan os.Signal
}

func newSession(interrupts <-chan os.Signal) (*session, error) {
	interpreter := interp.New(interp.Options{Stdin: strings.NewReader("")})
	if err := interpreter.Use(stdlib.Symbols); err != nil {
		return nil, err
	}
	// The standard library is there without an import.
	interpreter.ImportUsed()
	return &session{interpreter, interrupts}, nil
}

// run evaluates a cell, statement by statement: Yaegi takes declarations or statements, but not both at once.
func (s *session) run(code string) reply {
	parts := split(code)
	var value reflect.Value
	for _, part := range parts {
		var err error
		if value, err = s.evaluate(part); err != nil {
			return reply{Error: describe(err)}
		}
	}
	if len(parts) > 0 && hasValue(parts[len(parts)-1]) && value.IsValid() && value.CanInterface() {
		return reply{Value: fmt.Sprintf("%v", value.Interface())}
	}
	return reply{}
}

func (s *session) evaluate(part string) (reflect.Value, error) {
	running, cancel := context.WithCancel(context.Background())
	defer cancel()
	// One that came before this cell is not meant for it.
	select {
	case <-s.interrupts:
	default:
	}
	go func() {
		select {
		case <-s.interrupts:
			cancel()
		case <-running.Done():
		}
	}()
	return s.interpreter.EvalWithContext(running, part)
}

func describe(err error) string {
	if errors.Is(err, context.Canceled) {
		return "interrupted"
	}
	return err.Error()
}

// split cuts a cell where a statement or a declaration ends. Empty lines before each keep the line numbers of errors. A
// whole program stays whole.
func split(code string) []string {
	var parts []string
	source := []byte(code)
	file := token.NewFileSet().AddFile("", -1, len(source))
	var tokens scanner.Scanner
	tokens.Init(file, source, nil, 0)
	depth, start, first := 0, 0, true
	for {
		position, kind, _ := tokens.Scan()
		offset := file.Offset(position)
		switch kind {
		case token.PACKAGE:
			return []string{code}
		case token.LPAREN, token.LBRACK, token.LBRACE:
			depth++
		case token.RPAREN, token.RBRACK, token.RBRACE:
			depth--
		}
		if kind == token.EOF || kind == token.SEMICOLON && depth <= 0 {
			if !first {
				line := strings.Count(code[:start], "\n")
				parts = append(parts, strings.Repeat("\n", line)+code[start:offset])
			}
			first = true
		} else if first {
			start, first = offset, false
		}
		if kind == token.EOF {
			return parts
		}
	}
}

// hasValue tells an expression from other statements. Of what fmt's functions return, nobody wants to read.
func hasValue(part string) bool {
	expression, err := parser.ParseExpr(part)
	if err != nil {
		return false
	}
	call, ok := expression.(*ast.CallExpr)
	if !ok {
		return true
	}
	function, ok := call.Fun.(*ast.SelectorExpr)
	return !ok || !strings.HasPrefix(function.Sel.Name, "Print") && !strings.HasPrefix(function.Sel.Name, "Fprint")
}

var identifier = regexp.MustCompile(`(?:([\pL_][\pL\d_]*)\.)?([\pL_][\pL\d_]*)?$`)

// complete offers the names of a package of the standard library, or those that the notebook declares.
func (s *session) complete(text string) reply {
	found := identifier.FindStringSubmatch(text)
	owner, start := found[1], found[2]
	names := map[string]bool{}
	if owner == "" {
		for name := range s.interpreter.Globals() {
			names[name] = true
		}
	}
	for key, symbols := range stdlib.Symbols {
		// Keys are an import path and the package's name: "encoding/json/json".
		if name := path.Base(key); owner == "" {
			names[name] = true
		} else if name == owner {
			for symbol := range symbols {
				names[symbol] = true
			}
		}
	}
	answer := reply{Replaces: utf8.RuneCountInString(start)}
	for name := range names {
		if strings.HasPrefix(name, start) && !strings.HasPrefix(name, "_") {
			answer.Matches = append(answer.Matches, name)
		}
	}
	sort.Strings(answer.Matches)
	return answer
}
