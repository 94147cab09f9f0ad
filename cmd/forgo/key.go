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
		Long: "Key makes an API key. The key is shown once, on standard error: give it to whom it is for. The\n" +
			"line for the file that serve reads with --keys goes to standard output. It has the key's digest,\n" +
			"from which the key cannot be found again.\n\n" +
			"The right predict is for clients, admin for the admin port, metrics for its /metrics alone.",
		Example: "  forgo key phone-app --rights predict >> keys.txt\n" +
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
			printable.Fprintf(cmd.ErrOrStderr(), "the key of %s, shown this once: %s\n", args[0], key)
			return nil
		},
	}
	cmd.Flags().StringVar(&rights, "rights", "predict", "`RIGHTS` with commas between them: predict, admin, metrics")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object, with the key and the line")
	return cmd
}
