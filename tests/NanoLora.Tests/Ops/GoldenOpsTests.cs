using NanoLora.Experiments.Verification;

namespace NanoLora.Tests.Ops;

/// <summary>Every operation against PyTorch's outputs and gradients: the folders of Golden/ops, run by the verifier that <c>nanolora verify</c> is.</summary>
public class GoldenOpsTests : EngineTest
{
    public static TheoryData<string> Groups
    {
        get
        {
            var groups = new TheoryData<string>();
            foreach (var folder in Directory.GetDirectories(Root).Order(StringComparer.Ordinal)) groups.Add(Path.GetFileName(folder));
            return groups;
        }
    }

    private static string Root => Path.Combine(AppContext.BaseDirectory, "Golden", "ops");

    [Theory]
    [MemberData(nameof(Groups))]
    public void Agrees(string group)
    {
        using var output = new StringWriter();
        var result = Verifier.Run([Path.Combine(Root, group)], Backend, output);
        Assert.True(result.ExitCode == 0 && result.Ok > 0,
            string.Join('\n', output.ToString().Split('\n').Where(static line => !line.EndsWith("ok", StringComparison.Ordinal))));
    }
}
