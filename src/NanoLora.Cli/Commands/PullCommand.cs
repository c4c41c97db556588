using System.CommandLine;
using NanoLora.Data;
using NanoLora.Experiments;

namespace NanoLora.Cli.Commands;

/// <summary><c>nanolora pull</c>: a model or an adapter from the hub.</summary>
internal static class PullCommand
{
    public static Command Create(Session session)
    {
        var name = new Argument<string>("ORG/NAME") { Description = "The model or adapter, as the hub calls it." };
        var revision = Inputs.Text("--revision", "R", "A branch, a tag or a commit.", "main");
        var output = Inputs.Text("--out", "DIR", "A folder for the files; the cache that is shared with the hub's own client if not given.");
        var include = Inputs.Texts("--include", "PATTERN", "Which files instead: * stands for any characters, ? for one; may be given several times.");
        var exclude = Inputs.Texts("--exclude", "PATTERN", "Which of them not.");
        var command = new ToolCommand("pull", "Downloads a model or an adapter from the Hugging Face hub.", """
            Weights, configs, tokenizer and licence, as far as they are read here; PyTorch weights only where there are no others. Every file is held against
            the hash that the hub names. What is there already does not come again, and the same command goes on where an earlier one ended, however it ended.
            The folder is written to standard output; commands that take a model take ORG/NAME from then on. HF_TOKEN is sent to the hub alone; HF_ENDPOINT,
            HF_HOME, HF_HUB_CACHE, HTTPS_PROXY and NO_PROXY are heeded, and on Linux SSL_CERT_FILE, the certificates to trust instead of the system's.
            """, "nanolora pull google/vit-base-patch16-224", "nanolora pull org/adapter --revision v1.0 --out adapter",
            "nanolora pull org/model --include 'onnx/*' --exclude '*.bin'")
        { name, revision, output, include, exclude };
        command.SetAction(parsed => Run(session, parsed.GetValue(name)!, new HubPullOptions
        {
            Revision = parsed.GetValue(revision)!, Folder = parsed.GetValue(output), Include = parsed.GetValue(include) ?? [],
            Exclude = parsed.GetValue(exclude) ?? [],
        }));
        return command;
    }

    private static int Run(Session session, string name, HubPullOptions asked)
    {
        if (asked.Folder is { } folder && File.Exists(folder)) throw new CommandException($"{folder} is a file; name a folder to write to.");
        using var client = new HubClient(HubSettings.FromEnvironment());
        using var bar = new Bar(session);
        var options = new HubPullOptions
        {
            Revision = asked.Revision, Folder = asked.Folder, Include = asked.Include, Exclude = asked.Exclude, Progress = bar.Show,
            Note = line => session.Note($"{Printable.Of(line)}"),
        };
        try
        {
            var pulled = client.PullAsync(name, options, session.Cancellation).GetAwaiter().GetResult();
            bar.Dispose();
            var (files, bytes, fresh) = (pulled.Files.Count, Printable.Bytes(pulled.Bytes), Printable.Bytes(pulled.Downloaded));
            session.Note($"{name} at {pulled.Commit[..12]}: {files} files, {bytes}, {fresh} of them new");
            session.Out.WriteLine(Printable.Of(pulled.Folder));
            return 0;
        }
        catch (OperationCanceledException) when (session.IsInterrupted)
        {
            bar.Dispose();
            session.Note($"interrupted; what has arrived is kept");
            session.Note($"go on with: {session.CommandLine()}");
            return Session.Interrupted;
        }
    }

    /// <summary>Bytes as a line of progress; it begins with what is there from earlier.</summary>
    private sealed class Bar(Session session) : IDisposable
    {
        private const long Large = 100_000_000;

        private Progress? _progress;
        private long _unit = 1, _begun, _shown;

        public void Show(HubProgress now)
        {
            if (_progress is null)
            {
                _unit = now.Total >= Large ? 1_000_000 : 1000;
                _begun = now.Done / _unit;
                _progress = session.Progress(_unit == 1000 ? "pull, kB" : "pull, MB", now.Total / _unit - _begun);
            }
            // A file that comes anew does not take the line back.
            var done = now.Done / _unit - _begun;
            if (done <= _shown && now.Done < now.Total) return;
            _progress.Advance(Math.Max(0, done - _shown), Printable.Of(now.File));
            _shown = Math.Max(done, _shown);
        }

        public void Dispose() => _progress?.Dispose();
    }
}
