package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/forgo-ml/forgo/internal/printable"
	"github.com/forgo-ml/forgo/serve/access"
)

func keyCommand() *cobra.Command {
	var rights string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "key NAME",
		Short: "Make an API key for forgo serve",
		Long: "Key makes an API key and shows it once, on standard error: pass it to its user. The line for the file\n" +
			"that serve reads with --keys goes to standard output. The line holds a digest, from which nobody can\n" +
			"recover the key.\n\n" +
			"Clients need the right predict, operators need admin for the admin port. The right metrics allows only\n" +
			"/metrics on the admin port.",
		Example: "  umask 077\n" +
			"  forgo key phone-app --rights predict >> keys.txt\n" +
			"  forgo serve digits.forgo --keys keys.txt",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			list, err := access.ParseRights(rights)
			if err != nil {
				return usageError{fmt.Errorf("--rights %q: %w", rights, err)}
			}
			key, line, err := access.NewKey(args[0], list)
			if err != nil {
				return usageError{err}
			}
			if asJSON {
				return json.NewEncoder(cmd.OutOrStdout()).Encode(map[string]string{"name": args[0], "key": key, "line": line})
			}
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), line); err != nil {
				return fmt.Errorf("write the line: %w", err)
			}
			printable.Fprintf(cmd.ErrOrStderr(), "the key of %s, shown only once: %s\n", args[0], key)
			return nil
		},
	}
	cmd.Flags().StringVar(&rights, "rights", "predict", "comma-separated `RIGHTS`: predict, admin, metrics")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, with the key and the line")
	return cmd
}
