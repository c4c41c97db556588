using System.CommandLine;
using NanoLora.Experiments.Verification;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora verify</c>: golden vectors through the engine.</summary>
internal static class VerifyCommand
{
    public static Command Create(Session session)
    {
        var folders = new Argument<string[]>("FOLDER")
        {
            Description = "Folders of golden vectors, or folders that have such folders below them.", Arity = ArgumentArity.OneOrMore,
        };
        var data = Inputs.Text("--data", "DIR", "The folder of data sets and published weights, for the cases that name one.");
        var device = Devices.Option();
        var command = new ToolCommand("verify", "Runs golden vectors through the engine.", """
            They were made by the reference implementations; a line per tensor says whether the engine agrees. Exit code 0: all agrees. 1: something deviates,
            or a folder is unusable. 3: nothing deviates, but something is not built.
            """, "nanolora verify golden/ops", "nanolora verify golden --data data", "nanolora verify golden/ops --device opencl")
        { folders, data, device };
        command.SetAction(parsed =>
        {
            if (parsed.GetValue(data) is { } folder && !Directory.Exists(folder)) throw new CommandException($"--data: {folder} is not a folder.");
            foreach (var path in parsed.GetValue(folders)!) if (!Directory.Exists(path)) throw new CommandException($"{path}: there is no such folder.");
            using var backend = Devices.Open(parsed.GetValue(device)!);
            return Verifier.Run(parsed.GetValue(folders)!, backend, session.Out, new VerifyOptions { DataFolder = parsed.GetValue(data) }).ExitCode;
        });
        return command;
    }
}
