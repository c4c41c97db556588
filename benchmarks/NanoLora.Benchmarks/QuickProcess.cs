using System.ComponentModel;
using System.Diagnostics;
using System.Globalization;

namespace NanoLora.Benchmarks;

/// <summary>A half cannot run, or has ended before its time.</summary>
internal sealed class QuickException(string message) : Exception(message);

/// <summary>A half in a process of its own, asked line by line.</summary>
internal sealed class QuickProcess : IDisposable
{
    private readonly Process _process;
    private readonly string _name;
    private string _lastError = "";

    private QuickProcess(QuickSide side, ProcessStartInfo start)
    {
        var name = $"{Side = side}";
        (start.RedirectStandardInput, start.RedirectStandardOutput, start.RedirectStandardError) = (true, true, true);
        _name = name;
        try { _process = Process.Start(start)!; }
        catch (Win32Exception error) { throw new QuickException($"{name}: {start.FileName} does not start: {error.Message}"); }
        _process.ErrorDataReceived += (_, e) => { if (!string.IsNullOrWhiteSpace(e.Data)) _lastError = e.Data; };
        _process.BeginErrorReadLine();
        var hello = Read();
        if (hello.StartsWith("unavailable ", StringComparison.Ordinal)) throw new QuickException(hello["unavailable ".Length..]);
        Who = hello["hello ".Length..];
    }

    /// <summary>Whose it is.</summary>
    public QuickSide Side { get; }

    /// <summary>Name and versions.</summary>
    public string Who { get; }

    /// <summary>NanoLora's half: this program again.</summary>
    public static QuickProcess NanoLora()
    {
        var program = Environment.ProcessPath!;
        var start = new ProcessStartInfo(program);
        if (Path.GetFileNameWithoutExtension(program) == "dotnet") start.ArgumentList.Add(typeof(QuickProcess).Assembly.Location);
        start.ArgumentList.Add(Quick.HalfCommand);
        return new QuickProcess(QuickSide.NanoLora, start);
    }

    /// <summary>TorchSharp's half: the program that <see cref="BuildTorchSharp"/> has built.</summary>
    public static QuickProcess TorchSharp(string program) => new(QuickSide.TorchSharp, new ProcessStartInfo("dotnet") { ArgumentList = { program } });

    /// <summary>Builds TorchSharp's half and gives its program. The first time, some 130 MB are downloaded.</summary>
    /// <param name="folder">The folder of benchmarks.</param>
    public static string BuildTorchSharp(string folder)
    {
        var project = Path.Combine(folder, "NanoLora.TorchSharp");
        var start = new ProcessStartInfo("dotnet", ["build", "-c", "Release", "--nologo", "-v", "quiet", project]) { RedirectStandardOutput = true };
        Process process;
        try { process = Process.Start(start)!; }
        catch (Win32Exception error) { throw new QuickException($"TorchSharp: dotnet does not start: {error.Message}; put it on the PATH."); }
        using (process)
        {
            var text = process.StandardOutput.ReadToEnd();
            process.WaitForExit();
            if (process.ExitCode == 0) return Path.Combine(project, "bin", "Release", "net10.0", "NanoLora.TorchSharp.dll");
            var line = text.Split('\n').FirstOrDefault(l => l.Contains("error", StringComparison.Ordinal))?.Trim() ?? $"exit code {process.ExitCode}";
            throw new QuickException($"{project} does not build: {line}. It wants the packages that its project file names, from NuGet.");
        }
    }

    /// <summary>Gives what is opened next so many threads.</summary>
    public void Threads(int count) => Ask($"threads {count}", "ok");

    /// <summary>Asks for something that is answered by ok.</summary>
    public void Open(string request) => Ask(request, "ok");

    /// <summary>Runs the open work: seconds of one run, and the number that both halves must agree on.</summary>
    /// <param name="first">Runs before, in the same turn, that are not timed.</param>
    /// <param name="count">Those that are.</param>
    public (double Seconds, double Result) Run(int first, int count)
    {
        var words = Ask($"run {first} {count}", "ran ").Split(' ');
        return (double.Parse(words[1], CultureInfo.InvariantCulture) / count, double.Parse(words[2], CultureInfo.InvariantCulture));
    }

    /// <summary>The most memory that the process has had, in MiB; 0 where the system does not say.</summary>
    public double Peak() => long.Parse(Ask("peak", "peak ").Split(' ')[1]) / 1048576.0;

    /// <summary>Native bytes that the open work's engine has from the system, and managed bytes that the process's own thread has allocated so far.</summary>
    public (long Native, long Managed) Held()
    {
        var words = Ask("held", "held ").Split(' ');
        return (long.Parse(words[1]), long.Parse(words[2]));
    }

    /// <summary>Ends the process.</summary>
    public void Dispose()
    {
        try { _process.StandardInput.Close(); }
        catch (IOException)
        {
            // It has ended already.
        }
        if (!_process.WaitForExit(10_000)) _process.Kill();
        _process.Dispose();
    }

    private string Ask(string request, string expected)
    {
        try { _process.StandardInput.WriteLine(request); }
        catch (IOException)
        {
            // It has ended; reading tells how.
        }
        var answer = Read();
        return answer.StartsWith(expected, StringComparison.Ordinal) ? answer : throw new QuickException($"{_name} answers \"{request}\" with {answer}");
    }

    private string Read()
    {
        if (_process.StandardOutput.ReadLine() is { } line) return line;
        _process.WaitForExit();
        var code = _process.ExitCode;
        var killed = code == 137 ? ": killed, as happens where memory runs out" : "";
        throw new QuickException($"{_name} has ended with exit code {code}{killed}{(_lastError.Length > 0 ? $": {_lastError}" : "")}");
    }
}
