using System.Text;
using System.Text.RegularExpressions;

namespace NanoLora.Nn;

/// <summary>Which kind of low-rank update <see cref="Attach.Lora"/> makes.</summary>
public enum LoraKind
{
    /// <summary>A <see cref="Nn.Lora"/>: A Kaiming-uniform, B zero, as in the paper.</summary>
    Lora,
    /// <summary>A <see cref="Nn.Dora"/>: the same, and the lengths of the weight's rows.</summary>
    Dora,
    /// <summary>A <see cref="Nn.Pissa"/>: A and B from the weight's leading singular vectors.</summary>
    Pissa,
}

/// <summary>
/// Puts adapters into the slots of a model's linears, picked by path. The pattern language, here and everywhere: the whole path must match; * stands for
/// any characters, ? for one, and (a|b) for one of several words, as in "*.attn.(q|v)".
/// </summary>
public static class Attach
{
    /// <summary>Attaches a new LoRA to every linear that the pattern matches; at its start it changes nothing. A, B and a magnitude train.</summary>
    /// <param name="model">The model.</param>
    /// <param name="pattern">Which linears, by path.</param>
    /// <param name="rank">The number of rows of A.</param>
    /// <param name="alpha">The numerator of the scale; the rank if not given, so that the scale is 1.</param>
    /// <param name="rankStabilised">Scale by alpha / √rank.</param>
    /// <param name="dropout">The share of the input that training drops.</param>
    /// <param name="seed">Of the random values.</param>
    /// <param name="rows">Which of the linear's outputs to adapt, such as the q of a fused qkv; all if not given.</param>
    /// <param name="name">What the module is called.</param>
    /// <param name="ranks">Other ranks for some of the linears, by pattern; the first that matches counts.</param>
    /// <param name="alphas">Other numerators for some of the linears, by pattern; the first that matches counts.</param>
    /// <param name="kind">LoRA, DoRA or PiSSA.</param>
    /// <exception cref="ArgumentException">
    /// Nothing matches, a rank is not positive, or for PiSSA is above the smaller side of a matrix, or DoRA is to adapt a part of the rows.
    /// </exception>
    public static LoraModule Lora(
        Model model, string pattern, int rank, float? alpha = null, bool rankStabilised = false, float dropout = 0, ulong seed = 0,
        Range? rows = null, string name = "lora",
        IReadOnlyList<KeyValuePair<string, int>>? ranks = null, IReadOnlyList<KeyValuePair<string, float>>? alphas = null,
        LoraKind kind = LoraKind.Lora)
    {
        var updates = new Dictionary<string, Lora>();
        try
        {
            foreach (var (path, linear) in Matching(model, pattern)) updates[path] = New(path, linear);
        }
        catch
        {
            foreach (var update in updates.Values) update.Dispose();
            throw;
        }
        var module = new LoraModule(name, updates);
        Module(model, module);
        foreach (var update in updates.Values) update.Train();
        return module;

        Lora New(string path, Linear linear)
        {
            var (column, width) = (rows ?? Range.All).GetOffsetAndLength(linear.Out);
            var r = First(ranks, path) ?? rank;
            if (r < 1 || (long)r * Math.Max(linear.In, width) > int.MaxValue)
                throw new ArgumentException($"Attach.Lora: the rank {r} for {path} [{width}, {linear.In}]; "
                    + "it must be 1 at least, and A and B must fit into memory.");
            if (kind == LoraKind.Dora && width != linear.Out)
                throw new ArgumentException($"Attach.Lora: DoRA on {width} of the {linear.Out} rows of {path}; it is for all rows of a linear.");
            var size = First(alphas, path) ?? alpha ?? r;
            if (kind == LoraKind.Pissa) return NewPissa(linear, r, size, rankStabilised, dropout, column, width);
            // Kaiming-uniform with a = √5 as PyTorch draws a linear: bound 1 / √in.
            var random = new Philox(seed, Philox.StreamOf(path));
            var (a, b, bound) = (new float[r * linear.In], new float[width * r], 1 / MathF.Sqrt(linear.In));
            for (var i = 0; i < a.Length; i++) a[i] = bound * (2 * random.Uniform((ulong)i) - 1);
            return kind == LoraKind.Dora ? NewDora(model.Backend, a, b, Dora.RowNorms(linear), r, size, rankStabilised, dropout)
                : Attach.New(model.Backend, a, b, r, size, rankStabilised, dropout, column);
        }
    }

    /// <summary>Attaches a module that was read from a file: all of it, or nothing. It is frozen.</summary>
    /// <exception cref="ArgumentException">A linear that the module names is missing.</exception>
    /// <exception cref="InvalidOperationException">A linear's adapter is merged into its weight.</exception>
    public static void Module(Model model, LoraModule module)
    {
        var hosts = model.Linears().ToDictionary();
        foreach (var path in module.Updates.Keys)
        {
            var host = hosts.GetValueOrDefault(path) ?? model.LinearAt(path);           // which says what there is
            if (host.IsMerged)
                throw new InvalidOperationException($"Attach.Module: the adapter of {path} is merged into the weight; unmerge first.");
        }
        foreach (var (path, update) in module.Updates) hosts[path].Adapter = update;
    }

    /// <summary>
    /// Reads an adapter folder, a PEFT adapter or a saved composition, and puts it into the model, frozen. The head that it brings becomes the model's.
    /// </summary>
    /// <param name="model">The model.</param>
    /// <param name="folder">A folder with composition.json, or with adapter_config.json and adapter_model.safetensors.</param>
    /// <exception cref="CheckpointException">The folder holds neither, or it does not fit the model: file and field are named.</exception>
    public static void Load(Model model, string folder)
    {
        if (File.Exists(Path.Combine(folder, Mixture.FileName)))
        {
            foreach (var (_, composition) in Mixture.Load(folder, model).Compositions) composition.OwnsParts = true;
            return;
        }
        var module = PeftFolder.Load(folder, model);
        if (module.Head is not null && model is not Classifier)
        {
            module.Dispose();
            throw new CheckpointException(folder, "modules_to_save",
                "the adapter replaces the output layer, which only a classifier's can be; merge it with the software that made it.");
        }
        Module(model, module);
        if (module.Head is { } head && model is Classifier classifier) classifier.NewHead(head);
    }

    /// <summary>Takes all adapters out of a model and disposes them, unless they belong to modules that go on living.</summary>
    public static void Detach(Model model, bool dispose = true)
    {
        foreach (var (_, linear) in model.Linears().ToList())
        {
            var adapter = linear.Adapter;
            linear.Adapter = null;
            if (dispose) adapter?.Dispose();
        }
    }

    /// <summary>
    /// Puts every attached adapter into the weights. The old weights are kept: <see cref="Unmerge"/> gives them back bit for bit. Where one cannot be merged,
    /// none is.
    /// </summary>
    public static void Merge(Model model)
    {
        var merged = new List<Linear>();
        try
        {
            foreach (var (_, linear) in model.Linears().ToList())
            {
                if (linear.Adapter is null) continue;
                linear.Merge();
                merged.Add(linear);
            }
        }
        catch
        {
            foreach (var linear in merged) linear.Unmerge();
            throw;
        }
    }

    /// <summary>Undoes <see cref="Merge"/>.</summary>
    public static void Unmerge(Model model)
    {
        foreach (var (_, linear) in model.Linears().ToList()) linear.Unmerge();
    }

    /// <summary>
    /// Puts every attached adapter into the weights for good: a plain model, whose weights can train and take new adapters. The adapters stay the caller's.
    /// </summary>
    public static void Fuse(Model model)
    {
        foreach (var (_, linear) in model.Linears().ToList()) linear.Fuse();
    }

    /// <summary>The linears whose path matches the pattern, in the model's order.</summary>
    /// <exception cref="ArgumentException">Nothing matches.</exception>
    public static IReadOnlyList<KeyValuePair<string, Linear>> Matching(Model model, string pattern)
    {
        var regex = Pattern(pattern);
        var found = model.Linears().Where(l => regex.IsMatch(l.Key)).ToList();
        if (found.Count == 0)
            throw new ArgumentException($"Attach: no linear matches \"{pattern}\". "
                + $"Paths are like {string.Join(", ", model.Linears().Take(6).Select(l => l.Key))}; "
                + "* stands for any characters, (a|b) for one of several words.");
        return found;
    }

    private static T? First<T>(IReadOnlyList<KeyValuePair<string, T>>? patterns, string path) where T : struct
    {
        foreach (var (pattern, value) in patterns ?? []) if (Pattern(pattern).IsMatch(path)) return value;
        return null;
    }

    private static Regex Pattern(string pattern)
    {
        try { return new Regex(Expression(pattern), RegexOptions.NonBacktracking | RegexOptions.CultureInvariant); }
        catch (ArgumentException error) { throw new ArgumentException($"Attach: \"{pattern}\" is not a pattern: {error.Message}"); }
    }

    internal static Lora New(Backend backend, float[] a, float[] b, int rank, float alpha, bool rankStabilised, float dropout, int column = 0)
    {
        using var ta = backend.Main.From(a, new Shape(rank, a.Length / rank));
        using var tb = backend.Main.From(b, new Shape(b.Length / rank, rank));
        return new Lora(ta, tb, alpha, rankStabilised, dropout, column);
    }

    internal static Dora NewDora(Backend backend, float[] a, float[] b, float[] magnitude, int rank, float alpha, bool rankStabilised, float dropout)
    {
        using var ta = backend.Main.From(a, new Shape(rank, a.Length / rank));
        using var tb = backend.Main.From(b, new Shape(b.Length / rank, rank));
        using var m = backend.Main.From(magnitude, new Shape(magnitude.Length));
        return new Dora(ta, tb, m, alpha, rankStabilised, dropout);
    }

    /// <summary>A PiSSA of a linear's weight: from its start on, or with factors that were trained from there.</summary>
    internal static Pissa NewPissa(Linear host, int rank, float alpha, bool rankStabilised, float dropout, int column, int rows,
        (float[] A, float[] B)? trained = null)
    {
        var (a0, b0) = Pissa.Start(host, rank, rankStabilised ? alpha / MathF.Sqrt(rank) : alpha / rank, column, rows);
        var (a, b) = trained ?? (a0, b0);
        var (main, ofA, ofB) = (host.Weight.Value.Workspace, new Shape(rank, host.In), new Shape(rows, rank));
        using Tensor ta = main.From(a, ofA), tb = main.From(b, ofB), startA = main.From(a0, ofA), startB = main.From(b0, ofB);
        return new Pissa(ta, tb, startA, startB, alpha, rankStabilised, dropout, column);
    }

    private static string Expression(string pattern)
    {
        var regex = new StringBuilder("^");
        foreach (var c in pattern)
        {
            regex.Append(c switch
            {
                '*' => ".*",
                '?' => ".",
                '(' => "(?:",
                ')' or '|' => c.ToString(),
                _ => Regex.Escape(c.ToString()),
            });
        }
        return regex.Append('$').ToString();
    }
}
