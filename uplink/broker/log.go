package broker

import (
	"fmt"
	"log/slog"
)

// A logger brings the server's words into ours, one level lower than it says
// them: that a client comes or goes is no news.
type logger struct {
	log   *slog.Logger
	fatal chan string // capacity 1: why the server cannot run
}

func (l *logger) Noticef(format string, v ...any) {
	l.log.Debug("broker", "text", fmt.Sprintf(format, v...))
}
func (l *logger) Warnf(format string, v ...any) {
	l.log.Info("broker", "text", fmt.Sprintf(format, v...))
}
func (l *logger) Errorf(format string, v ...any) {
	l.log.Warn("broker", "text", fmt.Sprintf(format, v...))
}
func (l *logger) Debugf(string, ...any) {}
func (l *logger) Tracef(string, ...any) {}

// Fatalf does not end the process: Start returns the text as its error.
func (l *logger) Fatalf(format string, v ...any) {
	text := fmt.Sprintf(format, v...)
	l.log.Error("broker", "text", text)
	select {
	case l.fatal <- text:
	default:
	}
}
