using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using NanoLora.Models;

namespace NanoLora.Benchmarks;

/// <summary>
/// `llama`: reading and writing tokens with a Llama of 134 million parameters, in F32, F16 and BF16, beside llama.cpp's llama-bench where it is on the PATH. In
/// every round both have a turn, never at the same time, and who comes first changes; a ratio is of one round.
/// </summary>
internal sealed class LlamaBench
{
    private const string Program = "llama-bench";
    private const int Threads = 2, Prompt = 512, Short = 8, Written = 128;

    /// <summary>What is measured, in tokens a second.</summary>
    private sealed record Row(string Type, string Work)
    {
        public List<double> Ours { get; } = [];

        public List<double> Theirs { get; } = [];

        public List<double> Ratios { get; } = [];
    }

    private readonly string _folder = Path.Combine(Path.GetTempPath(), $"nanolora-llama-{Guid.NewGuid():N}");
    private string? _theirs, _reason;

    /// <summary>Runs the comparison and prints it. Exit code 0; 3 where llama-bench cannot run here, and NanoLora is measured alone.</summary>
    /// <param name="rounds">How many rounds, of each type.</param>
    /// <param name="json">A file to write all measurements to, or null.</param>
    public static int Run(int rounds, string? json)
    {
        var bench = new LlamaBench();
        try { return bench.All(rounds, json); }
        finally
        {
            if (Directory.Exists(bench._folder)) Directory.Delete(bench._folder, recursive: true);
        }
    }

    private int All(int rounds, string? json)
    {
        Directory.CreateDirectory(_folder);
        _theirs = Version();
        var rows = new List<Row>();
        foreach (var type in (ReadOnlySpan<DType>)[DType.F32, DType.F16, DType.BF16]) rows.AddRange(Measure(type, rounds));
        Console.WriteLine(Table(rows, rounds));
        if (json is not null) File.WriteAllText(json, Json(rows, rounds));
        if (_reason is null) return 0;
        Console.Error.WriteLine($"no {Program}: {_reason}");
        return QuickProtocol.Unavailable;
    }

    private Row[] Measure(DType type, int rounds)
    {
        Console.Error.WriteLine($"{type}: writing the model");
        var (ours, gguf) = (Path.Combine(_folder, "ours"), Path.Combine(_folder, "theirs.gguf"));
        LlamaFiles.WriteFolder(ours, type);
        if (_theirs is not null) LlamaFiles.WriteGguf(gguf, type);
        Row[] rows = [new($"{type}", $"read {Prompt}"), new($"{type}", $"write {Written}")];
        using var backend = new CpuBackend(Threads);
        using var model = LanguageModel.Load(ours, backend);
        Turn(model);                                                                     // not timed: code is compiled, memory is taken
        for (var round = 0; round < rounds; round++)
        {
            Console.Error.WriteLine($"{type}: round {round + 1} of {rounds}");
            var before = (round & 1) == 1 ? TheirTurn(gguf) : null;
            var (read, written) = Turn(model);
            rows[0].Ours.Add(read);
            rows[1].Ours.Add(written);
            if ((before ?? TheirTurn(gguf)) is not { } other) continue;
            rows[0].Theirs.Add(other.Read);
            rows[1].Theirs.Add(other.Written);
            rows[0].Ratios.Add(read / other.Read);
            rows[1].Ratios.Add(written / other.Written);
        }
        return rows;
    }

    // A prompt in one pass, and tokens one by one after a short prompt.
    private static (double Read, double Written) Turn(LanguageModel model)
    {
        using (var cache = model.NewCache(1, Prompt))
        {
            var clock = Stopwatch.StartNew();
            Next(model, cache, [.. Enumerable.Range(3, Prompt)]);
            var read = Prompt / clock.Elapsed.TotalSeconds;
            using var written = model.NewCache(1, Short + Written);
            var next = Next(model, written, [.. Enumerable.Range(3, Short)]);
            clock.Restart();
            for (var i = 0; i < Written; i++) next = Next(model, written, next);
            return (read, Written / clock.Elapsed.TotalSeconds);
        }

        static int[] Next(LanguageModel model, KeyValueCache cache, int[] tokens)
        {
            var workspace = model.Backend.Main;
            using var scope = workspace.Scope(grad: false);
            return model.Next(workspace.From(tokens, new Shape(1, tokens.Length)), cache).ArgMax(-1).ToInts();
        }
    }

    private (double Read, double Written)? TheirTurn(string gguf)
    {
        if (_theirs is null) return null;
        string[] args = ["-m", gguf, "-p", $"{Prompt}", "-n", $"{Written}", "-t", $"{Threads}", "-ngl", "0", "-r", "1", "-o", "json"];
        var (code, output, error) = Start(args);
        try
        {
            using var json = JsonDocument.Parse(output);
            var speeds = json.RootElement.EnumerateArray()
                .ToDictionary(static e => e.GetProperty("n_gen").GetInt32(), static e => e.GetProperty("avg_ts").GetDouble());
            return (speeds[0], speeds[Written]);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or InvalidOperationException)
        {
            var last = error.Split('\n', StringSplitOptions.RemoveEmptyEntries).LastOrDefault() ?? "it says nothing";
            throw new QuickException($"{Program} ended with exit code {code} and no measurements: {last}");
        }
    }

    private string? Version()
    {
        try
        {
            var (_, output, error) = Start(["--help"]);
            return (output + error).Contains("--n-gen", StringComparison.Ordinal) ? Program : throw new Win32Exception("it is another program");
        }
        catch (Win32Exception e)
        {
            _reason = $"{e.Message.TrimEnd('.')}. Install llama.cpp (Debian: llama.cpp-tools) so that {Program} is on the PATH, and run this again.";
            return null;
        }
    }

    private static (int Code, string Output, string Error) Start(string[] args)
    {
        using var process = Process.Start(new ProcessStartInfo(Program, args) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var error = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output, error.Result);
    }

    private string Table(IReadOnlyList<Row> rows, int rounds)
    {
        var text = new StringBuilder();
        var today = DateTime.UtcNow.ToString("yyyy-MM-dd", CultureInfo.InvariantCulture);
        text.AppendLine($"{today}, {QuickMachine.Name()}; {Threads} threads; a Llama of {LlamaFiles.Parameters / 1e6:0} million parameters; rounds: {rounds}.");
        text.Append("Tokens a second: the median, in brackets the middle half. ");
        text.AppendLine($"`read {Prompt}` is a prompt in one pass, `write {Written}` so many tokens one by one.");
        if (_theirs is not null) text.AppendLine("Ratios are NanoLora over llama.cpp of the same round: above 1, NanoLora is faster.");
        text.AppendLine();
        text.AppendLine(_theirs is null ? "| weights | work | NanoLora |" : "| weights | work | NanoLora | llama.cpp | ratio |");
        text.AppendLine(_theirs is null ? "|---|---|---:|" : "|---|---|---:|---:|---:|");
        foreach (var row in rows)
        {
            text.Append($"| {row.Type} | {row.Work} | {Spread(row.Ours, "0.0")} |");
            if (_theirs is not null) text.Append($" {Spread(row.Theirs, "0.0")} | {Spread(row.Ratios, "0.00")} |");
            text.AppendLine();
        }
        return text.ToString();
    }

    private static string Json(IReadOnlyList<Row> rows, int rounds)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer, new JsonWriterOptions { Indented = true }))
        {
            json.WriteStartObject();
            json.WriteString("machine", QuickMachine.Name());
            json.WriteNumber("threads", Threads);
            json.WriteNumber("rounds", rounds);
            json.WriteStartArray("rows");
            foreach (var row in rows)
            {
                json.WriteStartObject();
                json.WriteString("weights", row.Type);
                json.WriteString("work", row.Work);
                Numbers("nanolora", row.Ours);
                Numbers("llama.cpp", row.Theirs);
                Numbers("ratios", row.Ratios);
                json.WriteEndObject();

                void Numbers(string name, List<double> values)
                {
                    json.WriteStartArray(name);
                    foreach (var value in values) json.WriteNumberValue(value);
                    json.WriteEndArray();
                }
            }
            json.WriteEndArray();
            json.WriteEndObject();
        }
        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static string Spread(List<double> values, string format)
    {
        string At(double share) => QuickRow.Quantile(values, share).ToString(format, CultureInfo.InvariantCulture);
        return values.Count == 0 ? "–" : $"{At(0.5)} [{At(0.25)}, {At(0.75)}]";
    }
}

/// <summary>The options of `llama`.</summary>
internal static class LlamaOptions
{
    private const int UsualRounds = 9;

    /// <summary>Reads --rounds N and --json FILE; false for anything else.</summary>
    public static bool Parse(ReadOnlySpan<string> words, out int rounds, out string? json)
    {
        (rounds, json) = (UsualRounds, null);
        for (; words.Length >= 2; words = words[2..])
        {
            if (words[0] == "--json") json = words[1];
            else if (words[0] != "--rounds" || !int.TryParse(words[1], CultureInfo.InvariantCulture, out rounds) || rounds < 1) return false;
        }
        return words.Length == 0;
    }
}
