namespace NanoLora.Nn;

/// <summary>
/// A low-rank update of one linear: y + s (x Aᵀ) Bᵀ, with s = alpha / rank, or alpha / √rank for rsLoRA (Hu et al. 2021, arXiv 2106.09685;
/// Kalajdzievski 2023, arXiv 2312.03732). Dropout acts on the input of A alone. <see cref="Dora"/> and <see cref="Pissa"/> are LoRAs with something beside.
/// </summary>
public class Lora : Adapter
{
    /// <summary>An update over the given factors; it holds their storage, the tensors given stay with their scope or the caller.</summary>
    /// <param name="a">[rank, in]</param>
    /// <param name="b">[out, rank]</param>
    /// <param name="alpha">The numerator of the scale.</param>
    /// <param name="rankStabilised">Divide alpha by √rank.</param>
    /// <param name="dropout">The share of the input that training drops.</param>
    /// <param name="column">The first of the host's output columns that b's rows belong to.</param>
    /// <param name="bias">[out], added to what B gives, and scaled with it; or null. Not together with a column.</param>
    public Lora(Tensor a, Tensor b, float alpha, bool rankStabilised = false, float dropout = 0, int column = 0, Tensor? bias = null)
    {
        if (a.Shape.Rank != 2 || b.Shape.Rank != 2 || b.Cols != a.Shape[0])
            throw new ArgumentException($"Lora: A {a.Shape} and B {b.Shape} do not fit; A is [rank, in], B is [out, rank].");
        if (bias is not null && (bias.Count != b.Shape[0] || column != 0))
            throw new ArgumentException($"Lora: a bias {bias.Shape} beside B {b.Shape} from column {column} on; it is [out], for all of the linear's outputs.");
        (A, B) = (Own("lora_A", a), Own("lora_B", b));
        if (bias is not null) Bias = Own("lora_bias", bias);
        (Alpha, RankStabilised, Dropout, Column) = (alpha, rankStabilised, dropout, column);
    }

    /// <summary>[rank, in]</summary>
    public Parameter A { get; }

    /// <summary>[out, rank]</summary>
    public Parameter B { get; }

    /// <summary>[out], or null: PEFT's lora_bias.</summary>
    public Parameter? Bias { get; }

    /// <summary>The number of rows of A.</summary>
    public int Rank => A.Shape[0];

    /// <summary>The numerator of the scale.</summary>
    public float Alpha { get; }

    /// <summary>Whether the scale is alpha / √rank.</summary>
    public bool RankStabilised { get; }

    /// <summary>The share of the input that training drops.</summary>
    public float Dropout { get; }

    /// <inheritdoc/>
    public override int Column { get; }

    /// <summary>s</summary>
    public float Scale => RankStabilised ? Alpha / MathF.Sqrt(Rank) : Alpha / Rank;

    /// <inheritdoc/>
    public override Tensor Apply(Linear host, Tensor x, Tensor y)
    {
        y = Update(Dropped(x), y);
        return Bias is null ? y : y + Scale * Bias.Value.In(x.Workspace);
    }

    /// <inheritdoc/>
    public override Factors Factors() => Product();

    /// <summary>What A sees of the input: in training, less some of it.</summary>
    private protected Tensor Dropped(Tensor x) => Dropout > 0 ? x.Dropout(Dropout) : x;

    /// <summary>y + s (x Aᵀ) Bᵀ, in place.</summary>
    private protected Tensor Update(Tensor x, Tensor y) => x.LoraStack(y, A, B, Scale, column: Column);

    /// <summary>A, and B with the scale.</summary>
    private protected Factors Product()
    {
        var (b, bias) = (B.Value.ToArray(), Bias?.Value.ToArray());
        for (var i = 0; i < b.Length; i++) b[i] *= Scale;
        for (var i = 0; i < bias?.Length; i++) bias![i] *= Scale;
        return new Factors(A.Value.ToArray(), b, A.Shape[1], B.Shape[0]) { Bias = bias };
    }

    /// <summary>Reads the LoRA modules of every adapter folder within a folder, in the order of their names.</summary>
    /// <param name="folder">A folder of PEFT adapter folders.</param>
    /// <param name="model">The model they belong to.</param>
    /// <exception cref="CheckpointException">No adapter, or one that does not fit the model: file and field are named.</exception>
    public static IReadOnlyList<LoraModule> LoadAll(string folder, Model model) => PeftFolder.LoadAll(folder, model);

    /// <summary>Reads one PEFT adapter folder.</summary>
    /// <param name="folder">A folder with adapter_config.json and adapter_model.safetensors.</param>
    /// <param name="model">The model it belongs to.</param>
    /// <exception cref="CheckpointException">It does not fit the model, or asks for something that is not supported: file and field are named.</exception>
    public static LoraModule Load(string folder, Model model) => PeftFolder.Load(folder, model);
}

/// <summary>One trained LoRA module: an update for each of some of a model's linears, and perhaps a head of its own.</summary>
public sealed class LoraModule : IDisposable
{
    /// <summary>A module of the given updates, by path of the linear.</summary>
    public LoraModule(string name, IReadOnlyDictionary<string, Lora> updates, HeadWeights? head = null) => (Name, Updates, Head) = (name, updates, head);

    /// <summary>What it is called, such as the name of its folder.</summary>
    public string Name { get; }

    /// <summary>The folder it was read from, or null.</summary>
    public string? Folder { get; init; }

    /// <summary>The update of each linear, by path.</summary>
    public IReadOnlyDictionary<string, Lora> Updates { get; }

    /// <summary>The head that was trained with it, or null.</summary>
    public HeadWeights? Head { get; }

    /// <summary>The number of values in A and B, and in a bias or a magnitude.</summary>
    public long Count => Updates.Values.Sum(static u => u.Parameters().Sum(static p => (long)p.Value.Value.Count));

    /// <summary>Refuses a module that has a part which is no linear function of it, for an operation that would add modules up.</summary>
    /// <exception cref="ArgumentException">There is one: the module and the kind are named.</exception>
    internal void RequireComposable(string op)
    {
        foreach (var (path, update) in Updates)
            if (update.NotComposable is { } why) throw new ArgumentException($"{op}: the module {Name} cannot be composed, {path} {why}");
    }

    /// <summary>Lets the updates go. Those that are attached belong to the model: do not dispose both.</summary>
    public void Dispose()
    {
        foreach (var update in Updates.Values) update.Dispose();
    }
}

/// <summary>A head's values.</summary>
/// <param name="Weight">[classes, features], row by row.</param>
/// <param name="Bias">[classes]</param>
/// <param name="Labels">The names of the classes.</param>
public sealed record HeadWeights(float[] Weight, float[] Bias, IReadOnlyList<string> Labels)
{
    /// <summary>What stands below it and comes with it, weight [features, in] and bias [features] (<see cref="Classifier.Pooler"/>), or null.</summary>
    public (float[] Weight, float[] Bias)? Pooler { get; init; }
}
