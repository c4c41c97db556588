using NanoLora.Experiments.Verification;

namespace NanoLora.Tests.Composition;

/// <summary>Composition against PyTorch in double precision, and merges against PEFT: the folders of Golden/composition, run by the verifier that <c>nanolora verify</c> is.</summary>
public class GoldenCompositionTests : EngineTest
{
    private static string Root => Path.Combine(AppContext.BaseDirectory, "Golden", "composition");

    public static TheoryData<string> Cases => [.. Directory.GetDirectories(Root).Select(static f => Path.GetFileName(f)).Where(static f => f is not ("base" or "adapters")).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Cases))]
    public void Agrees(string name)
    {
        using var output = new StringWriter();
        var result = Verifier.Run([Path.Combine(Root, name)], Backend, output);
        Assert.True(result.ExitCode == 0 && result.Ok > 0, string.Join('\n', output.ToString().Split('\n').Where(static line => !line.EndsWith("ok", StringComparison.Ordinal))));
    }
}
