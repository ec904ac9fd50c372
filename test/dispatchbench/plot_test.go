package dispatchbench

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// The plot's size and margins, in pixels; the legend is at its right.
const (
	plotWidth, plotHeight = 900.0, 340.0
	plotLeft, plotTop     = 56.0, 14.0
	plotRight, plotBottom = 680.0, 296.0
)

// plot is calls in flight over time, on a scale of logarithms.
type plot struct {
	title string
	until time.Duration
	// clients are as many as each contender has lines.
	clients int
	// least and most are the ends of the scale, powers of two.
	least, most float64
	lines       []plotLine
}

// plotLine is one client of a contender.
type plotLine struct {
	name   string
	style  string
	values []float64 // one for each two samples
}

// style is how a contender is drawn: fixed limits in shades of one colour, so that what moves stands out. All can be told
// from white and from black.
func style(name string) string {
	const batchd, fixed = "stroke-width:2;stroke:", "stroke-width:1.2;stroke:#8c959f;stroke-dasharray:"
	switch name {
	case "fixed 64":
		return fixed + "2 3"
	case "fixed 256":
		return fixed + "7 3"
	case "fixed 1,024":
		return fixed + "12 3 2 3"
	case "best fixed":
		return "stroke-width:1.2;stroke:#8c959f"
	case "failsafe-go":
		return batchd + "#e16f24"
	case "batchd":
		return batchd + "#2f81f7"
	case "batchd, metrics":
		return batchd + "#2da44e"
	default:
		return batchd + "#a371f7"
	}
}

// newPlot draws each contender's first run.
func newPlot(c *comparison) *plot {
	p := &plot{title: c.title, until: c.whole, clients: len(c.come), least: math.Inf(1), most: 1}
	for i := range c.outcomes {
		o := &c.outcomes[i]
		for client := range c.come {
			p.add(plotLine{o.label(), style(o.name), inFlight(o.runs[0].samples, client)}, client)
		}
	}
	p.least = math.Exp2(math.Floor(math.Log2(p.least)))
	p.most = math.Exp2(math.Ceil(math.Log2(p.most)))
	return p
}

// add adds a line; those of clients after the first are thinner and have no name.
func (p *plot) add(l plotLine, client int) {
	if client > 0 {
		l.name = ""
		l.style += ";stroke-opacity:.55"
	}
	for _, v := range l.values {
		p.most = max(p.most, v)
		if v >= 1 {
			p.least = min(p.least, v)
		}
	}
	p.lines = append(p.lines, l)
}

// inFlight are means over pairs of samples.
func inFlight(samples []sample, client int) []float64 {
	var values []float64
	for i := 1; i < len(samples); i += 2 {
		values = append(values, (samples[i-1].flew[client]+samples[i].flew[client])/(2*sampleEvery.Seconds()))
	}
	return values
}

func (p *plot) x(at time.Duration) float64 {
	return plotLeft + (plotRight-plotLeft)*at.Seconds()/p.until.Seconds()
}

func (p *plot) y(v float64) float64 {
	return plotBottom - (plotBottom-plotTop)*math.Log2(max(v, p.least)/p.least)/math.Log2(p.most/p.least)
}

// svg renders the plot.
func (p *plot) svg() string {
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" role="img" aria-label="%s: calls in flight over time" `+
		`font-family="system-ui,-apple-system,Segoe UI,Helvetica,Arial,sans-serif" font-size="12">`+"\n", plotWidth, plotHeight, html.EscapeString(p.title))
	b.WriteString("<style>text{fill:#57606a}.g{stroke:#8c959f;stroke-opacity:.3}path{fill:none;stroke-linejoin:round}" +
		"@media (prefers-color-scheme:dark){text{fill:#adbac7}}</style>\n")
	p.axes(&b)
	for _, l := range p.lines {
		fmt.Fprintf(&b, `<path style="%s" d="%s"/>`+"\n", l.style, p.path(l.values))
	}
	p.legend(&b)
	b.WriteString("</svg>\n")
	return b.String()
}

// axes draws the scales with their names.
func (p *plot) axes(b *strings.Builder) {
	for v := p.least; v <= p.most; v *= 2 {
		y := p.y(v)
		fmt.Fprintf(b, `<line class="g" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/><text x="%.0f" y="%.1f" text-anchor="end">%.0f</text>`+"\n",
			plotLeft, plotRight, y, y, plotLeft-6, y+4, v)
	}
	for at := time.Duration(0); at <= p.until; at += p.until / 5 {
		x := p.x(at)
		fmt.Fprintf(b, `<line class="g" x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f"/><text x="%.1f" y="%.0f" text-anchor="middle">%.0f</text>`+"\n",
			x, x, plotTop, plotBottom, x, plotBottom+17, at.Minutes())
	}
	fmt.Fprintf(b, `<text x="%.0f" y="%.0f" text-anchor="middle">minutes</text>`+"\n", (plotLeft+plotRight)/2, plotBottom+36)
	fmt.Fprintf(b, `<text transform="translate(14 %.0f) rotate(-90)" text-anchor="middle">calls in flight</text>`+"\n", (plotTop+plotBottom)/2)
}

// path is a line through the middle of each value, without points that lie between equal ones.
func (p *plot) path(values []float64) string {
	var d strings.Builder
	for i, v := range values {
		if v == 0 || i > 0 && i < len(values)-1 && p.level(values[i-1], v) && p.level(v, values[i+1]) {
			continue // nobody is there yet, or nothing changes
		}
		command := 'L'
		if d.Len() == 0 {
			command = 'M'
		}
		at := time.Duration(2*i+1) * sampleEvery
		fmt.Fprintf(&d, "%c%.1f %.1f", command, p.x(at), p.y(v))
	}
	return d.String()
}

func (p *plot) level(a, b float64) bool { return math.Abs(p.y(a)-p.y(b)) < 0.2 }

// legend names the lines.
func (p *plot) legend(b *strings.Builder) {
	y := plotTop + 10
	for _, l := range p.lines {
		if l.name == "" {
			continue
		}
		fmt.Fprintf(b, `<path style="%s" d="M%.0f %.0fh26"/><text x="%.0f" y="%.0f">%s</text>`+"\n",
			l.style, plotRight+14, y, plotRight+46, y+4, html.EscapeString(l.name))
		y += 20
	}
	if p.clients > 1 {
		fmt.Fprintf(b, `<text x="%.0f" y="%.0f">paler: the second client</text>`+"\n", plotRight+14, y+8)
	}
}
