using System.Text.Json;
using NanoLora.Nn;

namespace NanoLora.Experiments.Verification;

/// <summary>What the cases of all models share: values seen on the way, gradients by the file's names, and the order in which they are compared.</summary>
internal abstract class ModelCase(GoldenFolder folder, Backend backend, GoldenReport report)
{
    /// <summary>The config of the same model in the words of older versions.</summary>
    protected const string OlderConfig = "config.hub.json";

    private readonly Dictionary<string, (Shape Shape, float[] Values)> _found = new(StringComparer.Ordinal);
    private readonly HashSet<string> _compared = new(StringComparer.Ordinal);

    /// <summary>The case's files.</summary>
    protected GoldenFolder Folder { get; } = folder;

    /// <summary>Where it runs.</summary>
    protected Backend Backend { get; } = backend;

    /// <summary>Where it reports.</summary>
    protected GoldenReport Report { get; } = report;

    /// <summary>Notes a value that the model gave, for <see cref="Compare"/>.</summary>
    protected void See(string name, Tensor x) => _found[name] = (x.Shape, x.ToArray());

    /// <summary>Notes a value, [B, T, D] of padded texts: what stands at padding nobody looks at, and it is taken to be what is expected.</summary>
    protected void See(string name, Tensor x, int[] lengths)
    {
        See(name, x);
        if (x.Shape.Rank != 3 || !Folder.Holds(name)) return;
        var (values, expected, tokens) = (_found[name].Values, Folder.Floats(name), x.Shape[1]);
        for (var row = 0; row < lengths.Length && expected.Length == values.Length; row++)
        {
            var (start, end) = ((row * tokens + lengths[row]) * x.Cols, (row + 1) * tokens * x.Cols);
            expected.AsSpan(start..end).CopyTo(values.AsSpan(start));
        }
    }

    /// <summary>How many tokens at the beginning of each row a mask shows.</summary>
    protected int[] Lengths(string mask)
    {
        var (values, tokens) = (Folder.Ints(mask), Folder.ShapeOf(mask)[1]);
        var lengths = new int[values.Length / tokens];
        for (var row = 0; row < lengths.Length; row++)
        {
            var shown = values.AsSpan(row * tokens, tokens);
            lengths[row] = shown.IndexOf(0) is var end and >= 0 ? end : tokens;
            if (shown[lengths[row]..].Contains(1)) throw Folder.Error(mask, "shows tokens after the first that it hides.");
        }
        return lengths;
    }

    /// <summary>Notes the gradients of all parameters, under the prefix and the names that the golden file uses, and clears them.</summary>
    /// <param name="model">The model, after its backward pass.</param>
    /// <param name="prefix">What the names begin with.</param>
    /// <param name="transposed">Whether the file holds the matrix at a path transposed; null where it never does.</param>
    protected void SeeGradients(Model model, string prefix = "", Predicate<string>? transposed = null)
    {
        var gradients = new Dictionary<string, Parameter>(StringComparer.Ordinal);
        foreach (var (path, parameter) in model.Parameters()) gradients[path] = parameter;
        foreach (var name in Expected(prefix + "grad."))
        {
            var path = model.Names.Ours(name[(prefix.Length + 5)..]);
            if (path is null || !gradients.TryGetValue(path, out var parameter) || parameter.Gradient is not { } gradient) continue;
            if (transposed?.Invoke(path) != true) See(name, gradient);
            else using (var turned = gradient.Transpose()) See(name, turned);
        }
        foreach (var parameter in gradients.Values) parameter.ClearGradient();
    }

    /// <summary>
    /// Compares what was seen with what is expected, in order of computation: inputs' positions, hidden states, outputs, loss, then gradients from
    /// the head back.
    /// </summary>
    protected void Compare(string prefix = "")
    {
        foreach (var name in Order(prefix))
        {
            if (!_compared.Add(name)) continue;
            if (_found.TryGetValue(name, out var found)) Report.Floats(name, found.Shape, found.Values, Folder.Floats(name), Tolerance(name));
            else Report.Tensor(name, default, Comparison.Fail("the model did not give it"));
        }
    }

    /// <summary>What a tensor of the case may be off by.</summary>
    protected double Tolerance(string name)
    {
        var tensor = Folder.Field(Folder.Field(Folder.Root, "tensors", JsonValueKind.Object), name, JsonValueKind.Object, "tensors.");
        return Folder.Field(tensor, "tol_abs", JsonValueKind.Number, $"tensors.{name}.").GetDouble();
    }

    /// <summary>Whether a tensor belongs to the pass that has no prefix.</summary>
    protected virtual bool IsOfMainPass(string name) => !name.StartsWith("at_", StringComparison.Ordinal);

    // Only tensors with a tolerance are outputs; the rest are inputs.
    private IEnumerable<string> Expected(string prefix)
    {
        foreach (var tensor in Folder.Field(Folder.Root, "tensors", JsonValueKind.Object).EnumerateObject())
        {
            if (!tensor.Name.StartsWith(prefix, StringComparison.Ordinal) || tensor.Value.ValueKind != JsonValueKind.Object) continue;
            if (tensor.Value.TryGetProperty("tol_abs", out _)) yield return tensor.Name;
        }
    }

    private List<string> Order(string prefix)
    {
        var names = Expected(prefix).Where(name => prefix.Length > 0 || IsOfMainPass(name)).ToList();
        var rank = names.ToDictionary(name => name, name => Rank(name[prefix.Length..]), StringComparer.Ordinal);
        return [.. names.OrderBy(name => rank[name])];                                 // stable: those of one rank stay as in the file
    }

    // Positions, hidden states by number, the last, outputs, loss; gradients of the head, of blocks from the last to the first, of the embedding.
    private static double Rank(string name)
    {
        if (name.StartsWith("grad.", StringComparison.Ordinal))
        {
            foreach (var part in name.Split('.')) if (int.TryParse(part, out var block)) return 3e6 - block;
            foreach (var part in (ReadOnlySpan<string>)["embed", "token", "wte", "wpe", "pre_layrnorm"])
                if (name.Contains(part, StringComparison.Ordinal)) return 4e6;
            return 2e6;
        }
        if (name.StartsWith("encoder.", StringComparison.Ordinal)) return 1e-7 * Rank(name[8..]);
        if (name.StartsWith("decoder.", StringComparison.Ordinal)) return Rank(name[8..]);
        if (name.StartsWith("hidden.", StringComparison.Ordinal)) return 1 + int.Parse(name.AsSpan(7));
        return name switch { "position_embeddings" => 0, "last_hidden" => 1e6, "loss" or "loss_of_first_8" => 1e6 + 2, _ => 1e6 + 1 };
    }
}
