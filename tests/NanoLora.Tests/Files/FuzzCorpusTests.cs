using System.Diagnostics;
using NanoLora.Fuzz;

namespace NanoLora.Tests.Files;

/// <summary>
/// Every input that the fuzzer found worth keeping, read again: none makes a reader do what it must not. How they were found: tests/NanoLora.Fuzz.
/// </summary>
public class FuzzCorpusTests
{
    public static TheoryData<string> Readers => [.. FuzzTarget.Names];

    [Theory, MemberData(nameof(Readers))]
    public void IsReadOrRefused(string reader)
    {
        var files = Directory.GetFiles(Path.Combine(AppContext.BaseDirectory, "FuzzCorpus", reader));
        Assert.NotEmpty(files);
        using var target = FuzzTarget.Create(reader);
        foreach (var file in files)
        {
            var clock = Stopwatch.StartNew();
            try { target.Run(File.ReadAllBytes(file)); }
            catch (FindingException e) { Assert.Fail($"{Path.GetFileName(file)}: {e.Message}"); }
            Assert.True(clock.Elapsed < TimeSpan.FromMinutes(1), $"{Path.GetFileName(file)} took {clock.Elapsed}");
        }
    }
}
