package rule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	longest = 4096 // bytes of an expression
	deepest = 100  // levels of nesting
)

// A node is an operation, a field or a literal. op is its sign, "field", "number", "text", "truth", or "call".
type node struct {
	op     string
	column int // in the expression, from 1
	name   string
	number float64 // also a truth: 0 or 1
	args   []*node

	kind  Kind // from check on
	field int
}

// token kinds
const (
	tokenEnd = iota
	tokenWord
	tokenName // in backquotes
	tokenNumber
	tokenText
	tokenSign
)

type token struct {
	kind   int
	text   string // without quotes
	column int
}

// is reports whether it is that sign or keyword.
func (t token) is(words ...string) bool {
	return (t.kind == tokenSign || t.kind == tokenWord) && slices.Contains(words, t.text)
}

func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end"
	case tokenText:
		return "the text " + strconv.Quote(t.text)
	default:
		return strconv.Quote(t.text)
	}
}

type parser struct {
	tokens []token // the last one is the end
	depth  int
}

// parse makes the tree of an expression by recursive descent, one method for each rule of the grammar.
func parse(expression string) (*node, error) {
	tokens, err := tokenize(expression)
	if err != nil {
		return nil, err
	}
	p := &parser{tokens: tokens}
	n, err := p.condition()
	if err != nil {
		return nil, err
	}
	if t := p.tokens[0]; t.kind != tokenEnd {
		return nil, &Error{t.column, fmt.Sprintf("%s is one too many: join conditions with and, or", t)}
	}
	return n, nil
}

func (p *parser) next() token {
	t := p.tokens[0]
	if t.kind != tokenEnd {
		p.tokens = p.tokens[1:]
	}
	return t
}

// accept takes the next token if it is one of these.
func (p *parser) accept(words ...string) (token, bool) {
	if !p.tokens[0].is(words...) {
		return token{}, false
	}
	return p.next(), true
}

func (p *parser) expect(word, where string) error {
	if t := p.next(); !t.is(word) {
		return &Error{t.column, fmt.Sprintf("%q is missing %s, here is %s", word, where, t)}
	}
	return nil
}

// joined reads operands with any of these operators between them, grouped from the left.
func (p *parser) joined(operand func() (*node, error), operators ...string) (*node, error) {
	left, err := operand()
	for err == nil {
		t, ok := p.accept(operators...)
		if !ok {
			return left, nil
		}
		var right *node
		right, err = operand()
		left = &node{op: t.text, column: t.column, args: []*node{left, right}}
	}
	return nil, err
}

func (p *parser) condition() (*node, error) {
	if p.depth++; p.depth > deepest {
		return nil, &Error{p.tokens[0].column, fmt.Sprintf("it is nested deeper than %d levels: split the rule", deepest)}
	}
	defer func() { p.depth-- }()
	return p.joined(p.conjunct, "or")
}

func (p *parser) conjunct() (*node, error) { return p.joined(p.negation, "and") }

func (p *parser) negation() (*node, error) {
	t, ok := p.accept("not")
	if !ok {
		return p.comparison()
	}
	n, err := p.comparison()
	return &node{op: "not", column: t.column, args: []*node{n}}, err
}

func (p *parser) comparison() (*node, error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	if p.tokens[0].is("in") || (p.tokens[0].is("not") && p.tokens[1].is("in")) {
		return p.in(left)
	}
	var all *node
	for previous := (token{}); ; {
		t, ok := p.accept("=", "!=", "<", "<=", ">", ">=")
		switch {
		case !ok && all == nil:
			return left, nil
		case !ok:
			return all, nil
		case all != nil && (t.is("=", "!=") || previous.is("=", "!=")):
			return nil, &Error{t.column, "only <, <=, > and >= can be chained: join the comparisons with and"}
		}
		right, err := p.sum()
		if err != nil {
			return nil, err
		}
		this := &node{op: t.text, column: t.column, args: []*node{left, right}}
		if all != nil {
			this = &node{op: "and", column: t.column, args: []*node{all, this}}
		}
		all, left, previous = this, right, t
	}
}

// in reads what follows a value: [not] in (literal, ...).
func (p *parser) in(value *node) (*node, error) {
	negation, negated := p.accept("not")
	n := &node{op: "in", column: p.next().column, args: []*node{value}}
	if err := p.expect("(", "behind in"); err != nil {
		return nil, err
	}
	for {
		t := p.tokens[0]
		literal, err := p.factor()
		if err != nil {
			return nil, err
		}
		if !slices.Contains([]string{"number", "text", "truth"}, literal.op) {
			return nil, &Error{t.column, fmt.Sprintf("a list holds numbers and texts, not %s: put a text in quotes", t)}
		}
		n.args = append(n.args, literal)
		if _, ok := p.accept(","); !ok {
			break
		}
	}
	if err := p.expect(")", "at the list's end"); err != nil {
		return nil, err
	}
	if negated {
		n = &node{op: "not", column: negation.column, args: []*node{n}}
	}
	return n, nil
}

func (p *parser) sum() (*node, error) { return p.joined(p.product, "+", "-") }

func (p *parser) product() (*node, error) { return p.joined(p.factor, "*", "/") }

func (p *parser) factor() (*node, error) {
	minus, negative := p.accept("-")
	n, err := p.operand()
	if err != nil || !negative {
		return n, err
	}
	if n.op == "number" {
		n.number = -n.number
		return n, nil
	}
	return &node{op: "-", column: minus.column, args: []*node{{op: "number", column: minus.column}, n}}, nil
}

func (p *parser) operand() (*node, error) {
	t := p.next()
	switch {
	case t.is("("):
		n, err := p.condition()
		if err != nil {
			return nil, err
		}
		return n, p.expect(")", fmt.Sprintf("for the bracket in column %d", t.column))
	case t.kind == tokenNumber:
		number, err := strconv.ParseFloat(t.text, 64)
		if err != nil || strings.ContainsAny(t.text, "xXpP_") {
			return nil, &Error{t.column, fmt.Sprintf("%s is not a number, or too large for one", t)}
		}
		return &node{op: "number", column: t.column, number: number}, nil
	case t.kind == tokenText:
		return &node{op: "text", column: t.column, name: t.text}, nil
	case t.kind == tokenName:
		return &node{op: "field", column: t.column, name: t.text}, nil
	case t.is("true"):
		return &node{op: "truth", column: t.column, number: 1}, nil
	case t.is("false"):
		return &node{op: "truth", column: t.column}, nil
	case t.kind == tokenWord && !t.is("and", "or", "not", "in"):
		if p.tokens[0].is("(") {
			return p.call(t)
		}
		return &node{op: "field", column: t.column, name: t.text}, nil
	default:
		return nil, &Error{t.column, fmt.Sprintf("a value is missing, here is %s", t)}
	}
}

func (p *parser) call(function token) (*node, error) {
	n := &node{op: "call", name: function.text, column: function.column}
	p.next()
	for {
		arg, err := p.condition()
		if err != nil {
			return nil, err
		}
		n.args = append(n.args, arg)
		if _, ok := p.accept(","); !ok {
			return n, p.expect(")", "at the end of "+function.text)
		}
	}
}

// tokenize cuts an expression into words, names, numbers, texts and signs.
func tokenize(s string) ([]token, error) {
	if len(s) > longest {
		return nil, &Error{1, fmt.Sprintf("it is longer than %d bytes: split the rule", longest)}
	}
	if !utf8.ValidString(s) {
		return nil, &Error{1, "it is not valid UTF-8"}
	}
	var tokens []token
	for at := 0; ; {
		at += len(s[at:]) - len(strings.TrimLeftFunc(s[at:], unicode.IsSpace))
		t := token{column: utf8.RuneCountInString(s[:at]) + 1}
		if at == len(s) {
			return append(tokens, t), nil
		}
		size, err := t.read(s[at:])
		if err != nil {
			return nil, err
		}
		at += size
		tokens = append(tokens, t)
	}
}

// read takes a token from the start of s, which is not empty, and returns its length.
func (t *token) read(s string) (size int, err error) {
	c, _ := utf8.DecodeRuneInString(s)
	switch {
	case c == '\'' || c == '"':
		t.kind = tokenText
		return t.quoted(s)
	case c == '`':
		t.kind = tokenName
		return t.quoted(s)
	case c >= '0' && c <= '9', c == '.':
		t.kind, t.text = tokenNumber, s[:numberLength(s)]
		return len(t.text), nil
	case wordRune(c):
		t.kind, t.text = tokenWord, s[:len(s)-len(strings.TrimLeftFunc(s, wordRune))]
		return len(t.text), nil
	}
	t.kind = tokenSign
	for _, sign := range []string{"==", "!=", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "(", ")", ","} {
		if strings.HasPrefix(s, sign) {
			if t.text = sign; sign == "==" {
				t.text = "="
			}
			return len(sign), nil
		}
	}
	return 0, &Error{t.column, fmt.Sprintf("%q is not known: names with such characters go in backquotes", c)}
}

// quoted reads a text or name with its quotes; a quote in it is written twice.
func (t *token) quoted(s string) (size int, err error) {
	quote := s[:1]
	for at := 1; ; {
		end := strings.Index(s[at:], quote)
		if end < 0 {
			return 0, &Error{t.column, fmt.Sprintf("the quote %s is not closed", quote)}
		}
		t.text += s[at : at+end]
		at += end + 1
		if !strings.HasPrefix(s[at:], quote) {
			return at, nil
		}
		t.text += quote
		at++
	}
}

func wordRune(c rune) bool { return c == '_' || unicode.IsLetter(c) || unicode.IsDigit(c) }

// numberLength takes in what sticks to a number too, so that 12kw is one wrong number and not two tokens.
func numberLength(s string) int {
	for i, c := range s {
		exponent := i > 0 && (s[i-1] == 'e' || s[i-1] == 'E')
		if c != '.' && !wordRune(c) && (!exponent || (c != '+' && c != '-')) {
			return i
		}
	}
	return len(s)
}
