using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using NanoLora.AheadOfTime;

// The JIT beside NativeAOT: the same work, compiled both ways for the same instruction sets. Five processes take turns, round by round, so that what else the
// machine does falls on all alike; the table shows medians and how far the middle half of the samples spreads.
//
//     dotnet run -c Release --project benchmarks/NanoLora.AheadOfTime

if (args is ["work", var models]) return Work.Run(models);
if (RuntimeInformation.ProcessArchitecture != Architecture.X64)
{
    Console.Error.WriteLine($"The comparison is of x64 instruction sets; this is {RuntimeInformation.ProcessArchitecture}.");
    return 3;
}
const int rounds = 9;
var root = Root();
var folder = Directory.CreateTempSubdirectory("nanolora-aot-").FullName;
try
{
    Variant[] variants =
    [
        new("JIT", Publish("jit", ""), "", -1),
        new("AOT, x86-64-v4", Publish("v4", "x86-64-v4"), "", 0),
        new("JIT without AVX-512", Publish("jit", ""), "DOTNET_EnableAVX512", -1),
        new("AOT, x86-64-v3", Publish("v3", "x86-64-v3"), "", 2),
        new("AOT, no setting", Publish("default", ""), "", 2),
    ];
    var tables = new Dictionary<string, List<double>>[variants.Length];
    for (var v = 0; v < variants.Length; v++) tables[v] = [];
    var descriptions = new string[variants.Length];
    for (var round = 0; round < rounds; round++)
        for (var v = 0; v < variants.Length; v++)
            descriptions[v] = Measured(variants[v], tables[v]);

    for (var v = 0; v < variants.Length; v++) Console.WriteLine($"{variants[v].Name}: {descriptions[v]}");
    Console.WriteLine();
    Console.WriteLine($"| ms of one core | {string.Join(" | ", variants.Select(v => v.Beside < 0 ? v.Name : $"{v.Name} | ratio"))} |");
    Console.WriteLine($"|---|{string.Concat(variants.Select(v => v.Beside < 0 ? "---:|" : "---:|---:|"))}");
    foreach (var work in tables[0].Keys)
    {
        var cells = new List<string>();
        for (var v = 0; v < variants.Length; v++)
        {
            var (median, spread) = Middle(tables[v][work]);
            cells.Add(string.Create(CultureInfo.InvariantCulture, $"{median:0.000} ± {100 * spread / 2:0} %"));
            if (variants[v].Beside is >= 0 and var other)
                cells.Add(string.Create(CultureInfo.InvariantCulture, $"{median / Middle(tables[other][work]).Median:0.00}"));
        }
        Console.WriteLine($"| {work} | {string.Join(" | ", cells)} |");
    }
    return 0;
}
finally
{
    Directory.Delete(folder, recursive: true);
}

// The program, compiled ahead of time unless it is the JIT's.
string Publish(string name, string instructionSet)
{
    var to = Path.Combine(folder, name);
    if (Directory.Exists(to)) return Path.Combine(to, "NanoLora.AheadOfTime");
    Console.Error.WriteLine($"compiling {name}");
    List<string> options = ["publish", "-c", "Release", Path.Combine(root, "benchmarks/NanoLora.AheadOfTime"), "-o", to, "-v", "q", "--nologo"];
    if (name == "jit") options.Add("-p:PublishAot=false");
    else options.AddRange("-p:PublishAot=true", $"-p:IlcInstructionSet={instructionSet}", $"-p:NativeIntermediateOutputPath={folder}/obj-{name}/");
    if (!OnPath("clang")) options.Add("-p:CppCompilerAndLinker=gcc");
    var start = new ProcessStartInfo("dotnet", options);
    using var process = Process.Start(start)!;
    process.WaitForExit();
    return process.ExitCode == 0
        ? Path.Combine(to, "NanoLora.AheadOfTime")
        : throw new InvalidOperationException($"dotnet {string.Join(' ', options)} failed.");
}

string Measured(Variant variant, Dictionary<string, List<double>> table)
{
    Console.Error.WriteLine($"measuring {variant.Name}");
    var start = new ProcessStartInfo(variant.Program, ["work", Path.Combine(root, "models/nano-vit")]) { RedirectStandardOutput = true };
    if (variant.Off.Length > 0) start.Environment[variant.Off] = "0";
    using var process = Process.Start(start)!;
    var description = "";
    while (process.StandardOutput.ReadLine() is { } line)
    {
        if (line.StartsWith("# ", StringComparison.Ordinal)) description = line[2..];
        if (line.Split('\t') is not [var work, var samples]) continue;
        if (!table.TryGetValue(work, out var list)) table[work] = list = [];
        foreach (var sample in samples.Split(' ')) list.Add(double.Parse(sample, CultureInfo.InvariantCulture));
    }
    process.WaitForExit();
    return process.ExitCode == 0 ? description : throw new InvalidOperationException($"{variant.Program} ended with {process.ExitCode}.");
}

// The median, and the spread of the middle half of the samples as a share of it.
static (double Median, double Spread) Middle(List<double> samples)
{
    double[] sorted = [.. samples.Order()];
    return (sorted[sorted.Length / 2], (sorted[sorted.Length * 3 / 4] - sorted[sorted.Length / 4]) / sorted[sorted.Length / 2]);
}

static bool OnPath(string program) =>
    (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));

static string Root()
{
    for (var at = new DirectoryInfo(AppContext.BaseDirectory); at is not null; at = at.Parent)
        if (File.Exists(Path.Combine(at.FullName, "NanoLora.sln"))) return at.FullName;
    throw new InvalidOperationException("NanoLora.sln was not found above the program.");
}

// Beside: the variant that its ratio is to, or -1. Off: the environment variable that is set to 0.
internal sealed record Variant(string Name, string Program, string Off, int Beside);
