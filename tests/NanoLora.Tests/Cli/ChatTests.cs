using System.Diagnostics;
using System.Runtime.InteropServices;
using NanoLora.Cli;
using NanoLora.Models;
using NanoLora.Tests.Models;

namespace NanoLora.Tests.Cli;

/// <summary><c>nanolora chat</c>, fed by a pipe.</summary>
public sealed class ChatTests : IDisposable
{
    private static readonly string Stories = Path.Combine(RepositoryRoot.Folder, "models", "stories260K");

    private readonly TemporaryFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void Without_a_template_turns_are_plain_only_if_asked_for()
    {
        var run = CliRun.Fed("hello\n", "chat", Stories);
        Assert.Equal((1, ""), (run.Code, run.Out));
        Assert.Contains("has no chat template", run.Error);
        Assert.Contains("--plain", run.Error);
        run = CliRun.Fed("Tell me a story.\n\n/what\n/exit\nnot read", "chat", Stories, "--plain", "--max-tokens", "20");
        Assert.Equal(0, run.Code);
        Assert.NotEmpty(run.Out.Trim());
        Assert.Contains("/what is not known; there are /reset and /exit", run.Error);
        Assert.Matches(@"20 tokens written in \d+\.\d\d s, \d+\.\d tokens/s; the likeliest tokens", run.Error);
    }

    /// <summary>A template decides what the model reads; after a reset nothing of the conversation is left.</summary>
    [Fact]
    public void Turns_are_written_as_the_template_says()
    {
        Copy("{%- for m in messages -%}{%- if m.role == 'system' -%}{{ m.content }} {% else %}{{ m.content }}{% endif %}{%- endfor -%}");
        string[] chat = ["chat", _folder.Path, "--max-tokens", "12"];
        var one = CliRun.Fed("Once upon a time\n", chat);
        Assert.True(one.Code == 0, one.Error);
        Assert.StartsWith(", there was", one.Out.TrimStart());
        // The second turn goes on with the text of the first one and its answer, of which nothing is read again.
        var answer = one.Out[..^Environment.NewLine.Length];
        var two = CliRun.Fed("Once upon a time\nThen\n", chat);
        var whole = CliRun.Of("generate", _folder.Path, "--max-tokens", "12", "--system", "Once upon a", "--prompt", "time" + answer + "Then");
        Assert.Equal(one.Out + whole.Out, two.Out);
        Assert.Equal(one.Out + one.Out, CliRun.Fed("Once upon a time\n/reset\nOnce upon a time\n", chat).Out);
        var told = CliRun.Fed("a time\n", [.. chat, "--system", "Once upon"]);
        Assert.Equal(one.Out, told.Out);
        var asked = CliRun.Of("generate", _folder.Path, "--max-tokens", "12", "--system", "Once upon", "--prompt", "a time");
        Assert.Equal(one.Out, asked.Out);
    }

    [Fact]
    public void A_turn_that_does_not_fit_does_not_count()
    {
        Copy("{%- for m in messages -%}{{ m.content }}{%- endfor -%}");
        var run = CliRun.Fed($"{string.Concat(Enumerable.Repeat("and then ", 400))}\nOnce upon a time\n", "chat", _folder.Path, "--max-tokens", "12");
        Assert.Equal(0, run.Code);
        Assert.Contains("tokens and the context 512", run.Error);
        Assert.Equal(CliRun.Fed("Once upon a time\n", "chat", _folder.Path, "--max-tokens", "12").Out, run.Out);
    }

    /// <summary>Ctrl-C ends the answer that is being written, and the program goes on.</summary>
    [Fact]
    public async Task Ctrl_C_ends_the_answer()
    {
        if (OperatingSystem.IsWindows()) return;
        using (var backend = new CpuBackend(2))
        {
            // Slow enough that its answer cannot be over before the signal comes: 8,000 tokens.
            var config = new LlamaConfig
            {
                Vocabulary = 512, HiddenSize = 256, Layers = 4, Heads = 4, KeyHeads = 4, HeadSize = 64, IntermediateSize = 704, MaxPositions = 8192,
            };
            using var model = Llama.Create(config, backend, seed: 1);
            model.Save(_folder.Path);
        }
        File.Copy(Path.Combine(Stories, "tok512.bin"), Path.Combine(_folder.Path, "tok512.bin"));
        string[] args = ["exec", typeof(Program).Assembly.Location, "chat", _folder.Path, "--plain", "--max-tokens", "8000", "--temperature", "1"];
        var host = Path.GetFullPath(Path.Combine(RuntimeEnvironment.GetRuntimeDirectory(), "..", "..", "..", "dotnet"));
        // What runs in the background of a shell ignores the signal, and so would its children.
        string[] command = OperatingSystem.IsLinux() && IgnoresInterrupt() ? ["/usr/bin/env", "--default-signal=INT", host, .. args] : [host, .. args];
        var start = new ProcessStartInfo(command[0], command[1..])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
        };
        using var process = Process.Start(start)!;
        try
        {
            var error = process.StandardError.ReadToEndAsync();
            await process.StandardInput.WriteLineAsync("hello");
            await process.StandardInput.FlushAsync();
            using var patience = new CancellationTokenSource(TimeSpan.FromMinutes(1));
            Assert.Equal(1, await process.StandardOutput.ReadAsync(new char[1].AsMemory(), patience.Token));
            using (var kill = Process.Start("/bin/sh", ["-c", $"kill -INT {process.Id}"])) await kill.WaitForExitAsync(patience.Token);
            await process.StandardInput.WriteLineAsync("/exit");
            await process.StandardInput.FlushAsync();
            await process.StandardOutput.ReadToEndAsync(patience.Token);
            await process.WaitForExitAsync(patience.Token);
            Assert.Equal(0, process.ExitCode);
            var told = await error;
            Assert.Matches(@"^\d+ tokens written", told);
            Assert.InRange(int.Parse(told.Split(' ')[0]), 1, 7000);
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }

    private void Copy(string template)
    {
        foreach (var file in (ReadOnlySpan<string>)["stories260K.bin", "tok512.bin"]) File.Copy(Path.Combine(Stories, file), Path.Combine(_folder.Path, file));
        File.WriteAllText(Path.Combine(_folder.Path, "chat_template.jinja"), template);
    }

    private static bool IgnoresInterrupt()
    {
        var line = File.ReadLines("/proc/self/status").FirstOrDefault(l => l.StartsWith("SigIgn:", StringComparison.Ordinal));
        return line is not null && (Convert.ToUInt64(line.Split('\t')[1], 16) & 1 << 1) != 0;       // signal 2
    }
}
