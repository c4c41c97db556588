using NanoLora.Nn;

namespace NanoLora.Tests.Composition;

/// <summary>One loaded model and one composition serve several threads, each request with mixing weights of its own.</summary>
public class WorkspacesTests : EngineTest
{
    [Fact]
    public void Four_workspaces_at_once_give_the_bits_of_four_in_a_row()
    {
        const int requests = 4, runs = 12;
        using var model = Tiny.Model(Backend);
        var modules = Tiny.Modules(model);
        var mixer = new GivenMixer();
        var mixture = Compose.Given(model, modules, mixer);
        // Each request has weights of its own; the second and the fourth have some for each image.
        float[] Weights(int request) => Tiny.Normal(request % 2 == 0 ? 3 : 6 * 3, (ulong)request + 70, 1);
        float[] Run(int request, Workspace workspace)
        {
            using var scope = workspace.Scope(grad: false);
            var weights = Weights(request);
            mixer.Set(workspace, workspace.From(weights, weights.Length == 3 ? new Shape(3) : new Shape(6, 3)));
            return Tiny.Logits(model, 6, workspace);
        }
        var alone = Enumerable.Range(0, requests).Select(r => Run(r, new Workspace(Backend))).ToArray();
        for (var r = 1; r < requests; r++) Assert.NotEqual(alone[0], alone[r]);
        var together = new float[requests][][];
        var threads = Enumerable.Range(0, requests).Select(r => new Thread(() =>
        {
            var workspace = new Workspace(Backend);
            together[r] = [.. Enumerable.Range(0, runs).Select(_ => Run(r, workspace))];
        })).ToArray();
        foreach (var thread in threads) thread.Start();
        foreach (var thread in threads) thread.Join();
        for (var r = 0; r < requests; r++) Assert.All(together[r], logits => Assert.Equal(alone[r], logits));
        var error = Assert.Throws<InvalidOperationException>(() => Tiny.Logits(model, 6, new Workspace(Backend)));
        Assert.Contains("GivenMixer", error.Message, StringComparison.Ordinal);
        mixture.Detach();
        foreach (var module in modules) module.Dispose();
    }
}
