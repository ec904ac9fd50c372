package openai

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"batchd/internal/batch"
	"batchd/internal/dialect"
)

// The longest custom_id and model, in characters.
const (
	maxCustomID = 512
	maxModel    = 512
)

// parser reads one line with a decoder that works on the line's own bytes, without copying or changing them.
type parser struct {
	decoder *jsontext.Decoder
	buffer  bytes.Buffer
}

// envelope is what matters of a line, as raw JSON values; nil for a member that is absent.
type envelope struct {
	customID, method, url jsontext.Value
	// body is the kind of the body's value, 0 if absent, followed by its span and, for an object, its members. The span is what
	// goes to the upstream, byte for byte.
	body                    jsontext.Kind
	bodyStart, bodyEnd      int
	model, stream, messages jsontext.Value
}

var (
	errNotObject = errors.New("not an object")
	errTrailing  = errors.New("data after the object")
)

// ParseLine reads one input line. Members of the envelope that it does not know are tolerated. A line with several
// faults is reported with the one that comes first in this order: not JSON, a member is missing, a value is wrong.
func (d *Dialect) ParseLine(raw []byte, rules dialect.LineRules) (dialect.Line, error) {
	e, err := d.parseEnvelope(raw)
	if err != nil || rules.MaxDepth > 0 && deeperThan(raw, rules.MaxDepth) {
		return dialect.Line{}, unparseable(raw, rules.MaxDepth)
	}
	if f := d.check(&e, rules.Endpoint); f != nil {
		return dialect.Line{}, f
	}
	line := dialect.Line{CustomID: decoded(e.customID), BodyStart: e.bodyStart, BodyLength: e.bodyEnd - e.bodyStart}
	if !absent(e.model) {
		line.Model = decoded(e.model)
	}
	return line, nil
}

// parseEnvelope reads a line with a parser of the pool. The envelope's values point into raw.
func (d *Dialect) parseEnvelope(raw []byte) (envelope, error) {
	p, ok := d.parsers.Get().(*parser)
	if !ok {
		p = &parser{decoder: jsontext.NewDecoder(new(bytes.Buffer))}
	}
	p.buffer = *bytes.NewBuffer(raw)
	p.decoder.Reset(&p.buffer)
	e, err := p.envelope()
	// The line is the caller's: a parser in the pool must not keep its memory alive.
	p.buffer = bytes.Buffer{}
	p.decoder.Reset(&p.buffer)
	d.parsers.Put(p)
	return e, err
}

// envelope reads a whole line. The decoder refuses names that appear twice at any depth, so that what is checked here is what
// an upstream will read.
func (p *parser) envelope() (envelope, error) {
	var e envelope
	if open, err := p.decoder.ReadToken(); err != nil {
		return e, err
	} else if open.Kind() != jsontext.KindBeginObject {
		return e, errNotObject
	}
	err := p.members(func(name []byte) (err error) {
		switch string(name) {
		case "custom_id":
			e.customID, err = p.decoder.ReadValue()
		case "method":
			e.method, err = p.decoder.ReadValue()
		case "url":
			e.url, err = p.decoder.ReadValue()
		case "body":
			err = p.body(&e)
		default:
			_, err = p.decoder.ReadValue()
		}
		return err
	})
	if err != nil {
		return e, err
	}
	if _, err := p.decoder.ReadToken(); !errors.Is(err, io.EOF) {
		return e, errTrailing
	}
	return e, nil
}

// body reads the body's value and notes its exact span.
func (p *parser) body(e *envelope) error {
	e.body = p.decoder.PeekKind()
	if e.body != jsontext.KindBeginObject {
		_, err := p.decoder.ReadValue()
		return err
	}
	if _, err := p.decoder.ReadToken(); err != nil {
		return err
	}
	e.bodyStart = int(p.decoder.InputOffset()) - len("{")
	err := p.members(func(name []byte) (err error) {
		switch string(name) {
		case "model":
			e.model, err = p.decoder.ReadValue()
		case "stream":
			e.stream, err = p.decoder.ReadValue()
		case "messages":
			e.messages, err = p.decoder.ReadValue()
		default:
			_, err = p.decoder.ReadValue()
		}
		return err
	})
	e.bodyEnd = int(p.decoder.InputOffset())
	return err
}

// members reads an object from behind its opening brace to its end. It calls value with each member's decoded
// name; value must read exactly the member's value.
func (p *parser) members(value func(name []byte) error) error {
	for p.decoder.PeekKind() != jsontext.KindEndObject {
		name, err := p.decoder.ReadValue()
		if err != nil {
			return err
		}
		if err := value(decoded(name)); err != nil {
			return err
		}
	}
	_, err := p.decoder.ReadToken()
	return err
}

// check returns the first fault of a line that is valid JSON: what is missing before what is wrong.
func (d *Dialect) check(e *envelope, endpoint string) *dialect.LineFault {
	bare := d.variant.BareLines
	for _, member := range []struct {
		name   string
		absent bool
	}{
		{"custom_id", len(e.customID) == 0},
		{"method", absent(e.method) && !bare},
		{"url", absent(e.url) && !bare},
		{"body", e.body == jsontext.KindInvalid || e.body == jsontext.KindNull},
	} {
		if member.absent {
			return fault(codeMissing, member.name, "Missing required parameter: '"+member.name+"'.")
		}
	}
	if f := checkString("custom_id", e.customID, maxCustomID); f != nil {
		return f
	}
	// A method or url that is absent here may be: the loop above has let it pass.
	if !absent(e.method) && (e.method.Kind() != jsontext.KindString || string(decoded(e.method)) != "POST") {
		return fault(codeInvalidRequest, "method", "The method of a request in a batch must be 'POST'.")
	}
	if !absent(e.url) && (e.url.Kind() != jsontext.KindString || !d.fits(string(decoded(e.url)), endpoint)) {
		return badURL(e.url, endpoint)
	}
	if e.body != jsontext.KindBeginObject {
		return fault(codeInvalidRequest, "body", "The body of a request in a batch must be a JSON object.")
	}
	return e.checkBody(batch.EndpointPath(endpoint))
}

// fits reports whether a line's url names the batch's endpoint.
func (d *Dialect) fits(url, endpoint string) bool {
	path := d.withoutPrefix(url)
	return path == endpoint || !d.exactPaths() && batch.EndpointPath(path) == batch.EndpointPath(endpoint)
}

// checkBody checks what batchd itself needs of a body, a model to choose an upstream by and an answer in one piece, and, like
// OpenAI, that a chat has messages. All else is the upstream's to judge, which knows its own parameters.
func (e *envelope) checkBody(endpoint string) *dialect.LineFault {
	if e.stream.Kind() == jsontext.KindTrue {
		message := "Streaming is not supported in the Batch API."
		if endpoint == chatCompletions {
			message = "Chat Completions: " + message
		}
		return fault("streaming_unsupported", "body.stream", message)
	}
	if !absent(e.model) {
		if f := checkString("body.model", e.model, maxModel); f != nil {
			return f
		}
	} else {
		switch endpoint {
		case "/v1/moderations", "/v1/images/generations", "/v1/images/edits", "/v1/videos": // these few have a default one
		default:
			return fault(codeInvalidRequest, "body.model", "Model parameter is required.")
		}
	}
	if endpoint == chatCompletions && absent(e.messages) {
		return fault(codeInvalidRequest, "body.messages", "Messages parameter is required.")
	}
	return nil
}

// checkString demands a string of 1 to limit characters.
func checkString(param string, v jsontext.Value, limit int) *dialect.LineFault {
	if v.Kind() != jsontext.KindString {
		return &dialect.LineFault{LineError: batch.LineError{
			Code: codeInvalidRequest, Param: param, Message: wrongType(param, "", "a string", v).Message,
		}}
	}
	s := decoded(v)
	if len(s) == 0 {
		return fault(codeInvalidRequest, param, "Invalid '"+param+"': the string is empty.")
	}
	// Bytes bound characters, so that most strings need no counting.
	if len(s) > limit && utf8.RuneCount(s) > limit {
		return fault(codeInvalidRequest, param, fmt.Sprintf("Invalid '%s': string too long. It may have at most %d characters.", param, limit))
	}
	return nil
}

// absent reports whether a member is not there or null, which is the same in all of the API.
func absent(v jsontext.Value) bool { return len(v) == 0 || v.Kind() == jsontext.KindNull }

// decoded returns the text of a valid JSON string: its own bytes when it has no escapes.
func decoded(v jsontext.Value) []byte {
	if bytes.IndexByte(v, '\\') < 0 {
		return v[1 : len(v)-1]
	}
	text, _ := jsontext.AppendUnquote(nil, v) // cannot fail: the decoder has accepted the string
	return text
}

// deeperThan reports whether valid JSON nests objects and arrays deeper than limit.
func deeperThan(raw []byte, limit int) bool {
	depth, quoted := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			if depth++; depth > limit {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// fault returns what is wrong with a line. Its number is the caller's to add.
func fault(code, param, message string) *dialect.LineFault {
	return &dialect.LineFault{LineError: batch.LineError{Code: code, Param: param, Message: message}}
}
