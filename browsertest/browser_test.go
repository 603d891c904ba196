package browsertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"github.com/chromedp/chromedp"
)

// browser is the context of the one browser that all tests open tabs in. Each
// test has servers, and so origins, of its own.
var browser context.Context

// startBrowser starts it, with an empty profile. stop ends it and waits.
func startBrowser(profile string) (stop func(), err error) {
	path, err := findBrowser()
	if err != nil {
		return nil, err
	}
	alloc, cancel := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path),
		chromedp.UserDataDir(profile),
		chromedp.Headless,
		chromedp.NoFirstRun,
		chromedp.NoSandbox, // root has none; all pages are the tests' own
		chromedp.DisableGPU,
		chromedp.IgnoreCertErrors, // of the certificates that the tests make
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("disable-dev-shm-usage", true),
		// Of several tabs only one is in front, and the others count as well.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
	)
	browser, _ = chromedp.NewContext(alloc)
	stop = func() {
		ctx, end := context.WithTimeout(browser, 10*time.Second)
		chromedp.Cancel(ctx)
		end()
		cancel()
	}
	if err := chromedp.Do(browser); err != nil {
		stop()
		return nil, fmt.Errorf("%s does not start: %w", path, err)
	}
	return stop, nil
}

func findBrowser() (string, error) {
	if path := os.Getenv("CHROMIUM"); path != "" {
		return path, nil
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", errors.New("there is no Chromium in $PATH: install it (on Debian: apt-get install chromium), or set $CHROMIUM to its path, or leave these tests out with -short")
}
