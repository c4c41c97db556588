using static System.IO.Path;

namespace NanoLora.Data;

/// <summary>
/// The study's images, read from a folder of raw sources: four sets that train the base model, and ten few-shot tasks, all 28 x 28 in one channel. Drawings are bright on black;
/// the sign-language digits are photographs and stay as they are, a hand before a light wall.
/// </summary>
public sealed class Sources
{
    /// <summary>Height and width of all images.</summary>
    public const int Side = 28;

    /// <summary>Of the twenty drawers of an Omniglot alphabet, those from this number on are its test set.</summary>
    private const int FirstTestDrawer = 11;

    private Sources(IReadOnlyList<ImageTask> pretraining, IReadOnlyList<ImageTask> tasks) => (Pretraining, Tasks) = (pretraining, tasks);

    /// <summary>Fashion-MNIST, MNIST, Quick Draw and notMNIST, 36 classes in all.</summary>
    public IReadOnlyList<ImageTask> Pretraining { get; }

    /// <summary>Eight Omniglot alphabets by name, hand-drawn shapes, sign-language digits. The first is held out, the others are upstream; other experiments deal the pools anew.</summary>
    public IReadOnlyList<ImageTask> Tasks { get; }

    /// <summary>How often each source of <see cref="Pretraining"/> is drawn.</summary>
    public static IReadOnlyList<float> PretrainingWeights { get; } = [0.3f, 0.2f, 0.25f, 0.25f];

    /// <summary>The sets that train the base model, drawn by weight; with quarter turns the 36 classes become 72.</summary>
    public Mixture PretrainingMixture(bool quarterTurns = true) => new(Pretraining, PretrainingWeights, quarterTurns);

    /// <summary>Reads all sources from their folders img-fashion-mnist, img-mnist, img-quickdraw6, img-notmnist, img-omniglot, img-hand-drawn-shapes and img-sign-language-digits.</summary>
    /// <exception cref="DirectoryNotFoundException">A folder is missing.</exception>
    /// <exception cref="InvalidDataException">A file is malformed; the message names it.</exception>
    public static Sources Load(string dataFolder) => new(LoadPretraining(dataFolder), LoadTasks(dataFolder));

    /// <summary>The four sets that train the base model.</summary>
    public static IReadOnlyList<ImageTask> LoadPretraining(string dataFolder) => [FashionMnist(dataFolder), Mnist(dataFolder), QuickDraw(dataFolder), NotMnist(dataFolder)];

    /// <summary>The ten few-shot tasks, the first one held out.</summary>
    public static IReadOnlyList<ImageTask> LoadTasks(string dataFolder)
    {
        List<ImageTask> tasks = [.. Alphabets(dataFolder), Shapes(dataFolder), SignDigits(dataFolder)];
        tasks[0] = tasks[0] with { Pool = Pool.HeldOut };
        return tasks;
    }

    private static ImageTask FashionMnist(string data)
    {
        const string name = "Fashion-MNIST", licence = "MIT", source = "https://github.com/zalandoresearch/fashion-mnist";
        string[] classes = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"];
        var folder = Folder(data, "img-fashion-mnist");
        return new(name, Pair(folder, "train", "idx3", name, classes, licence, source), Pair(folder, "t10k", "idx3", name, classes, licence, source), Pool.Pretraining);
    }

    private static ImageTask Mnist(string data)
    {
        const string name = "MNIST", licence = "CC BY-SA 3.0", source = "MNIST, Y. LeCun and C. Cortes";
        var folder = Folder(data, "img-mnist");
        return new(name, Pair(folder, "train", "idx3", name, Digits, licence, source), Pair(folder, "t10k", "idx3", name, Digits, licence, source), Pool.Pretraining);
    }

    /// <summary>The last sixth of each class is the test set.</summary>
    private static ImageTask QuickDraw(string data)
    {
        const string name = "Quick Draw";
        string[] classes = ["apple", "bicycle", "cat", "diamond", "eye", "fish"];
        var folder = Folder(data, "img-quickdraw6");
        var size = new ImageSize(1, Side, Side);
        var sets = new ImageSet[classes.Length];
        for (var c = 0; c < classes.Length; c++)
        {
            var path = Combine(folder, $"{classes[c]}.npy.gz");
            var (values, sizes) = Npy.Read(path);
            if (sizes.Length < 2 || (long)sizes[0] * size.Length != values.Length) throw new InvalidDataException($"{path}: the shape [{string.Join(", ", sizes)}] holds no images of {size}.");
            var labels = new int[sizes[0]];
            Array.Fill(labels, c);
            sets[c] = new(name, size, values, labels, classes) { Licence = "CC BY 4.0", Source = "Quick, Draw! data, Google" };
        }
        return LastSixthOfEachClass(name, ImageSet.Concat(name, sets), Pool.Pretraining);
    }

    /// <summary>The last sixth of each class is the test set.</summary>
    private static ImageTask NotMnist(string data)
    {
        const string name = "notMNIST", licence = "MIT", source = "https://github.com/davidflanagan/notMNIST-to-MNIST";
        string[] classes = ["A", "B", "C", "D", "E", "F", "G", "H", "I", "J"];
        return LastSixthOfEachClass(name, Pair(Folder(data, "img-notmnist"), "t10k", "idx3", name, classes, licence, source), Pool.Pretraining);
    }

    private static IEnumerable<ImageTask> Alphabets(string data)
    {
        var folder = Folder(data, "img-omniglot");
        foreach (var drawn in Omniglot.Read(Combine(folder, "images_background_small1.zip"), Combine(folder, "images_background_small2.zip")))
        {
            var small = Resize.Area(drawn, Side, Side);
            var all = new ImageSet(small.Name, small.Size, small.Pixels, small.Labels, small.Classes, small.Groups) { Licence = "MIT", Source = "https://github.com/brendenlake/omniglot" };
            yield return Split(all.Name, all, Pool.Upstream, (i, _) => all.Groups![i] >= FirstTestDrawer);
        }
    }

    private static ImageTask Shapes(string data)
    {
        const string name = "Hand-drawn shapes", licence = "CC BY 4.0", source = "https://github.com/frobertpixto/hand-drawn-shapes-dataset";
        string[] classes = ["ellipse", "other", "rectangle", "triangle"];
        var folder = Folder(data, "img-hand-drawn-shapes");
        return new(name, Small(Pair(folder, "hds-train", "idx3", name, classes, licence, source)), Small(Pair(folder, "hds-test", "idx3", name, classes, licence, source)), Pool.Upstream);

        static ImageSet Small(ImageSet set) => Resize.Area(Resize.Invert(set), Side, Side);
    }

    private static ImageTask SignDigits(string data)
    {
        const string name = "Sign-language digits", licence = "Apache-2.0", source = "https://github.com/ardamavi/Sign-Language-Digits-Dataset";
        var folder = Folder(data, "img-sign-language-digits");
        return new(name, Small(Pair(folder, "signdigits-train", "idx4", name, Digits, licence, source)), Small(Pair(folder, "signdigits-test", "idx4", name, Digits, licence, source)), Pool.Upstream);

        static ImageSet Small(ImageSet set) => Resize.Area(Resize.Gray(set), Side, Side);
    }

    private static string[] Digits => ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"];

    private static string Folder(string data, string name)
    {
        var folder = Combine(data, name);
        return Directory.Exists(folder) ? folder : throw new DirectoryNotFoundException($"Sources: the folder {folder} is missing; fetch the data sets first.");
    }

    private static ImageSet Pair(string folder, string part, string kind, string name, string[] classes, string licence, string source)
    {
        var set = Idx.ReadImages(name, Combine(folder, $"{part}-images-{kind}-ubyte.gz"), Combine(folder, $"{part}-labels-idx1-ubyte.gz"), classes);
        return new(name, set.Size, set.Pixels, set.Labels, set.Classes) { Licence = licence, Source = source };
    }

    private static ImageTask LastSixthOfEachClass(string name, ImageSet set, Pool pool)
    {
        var counts = set.ClassCounts();
        return Split(name, set, pool, (i, seen) => seen >= counts[set.Labels[i]] - counts[set.Labels[i]] / 6);
    }

    /// <summary>Deals a set into training and test images.</summary>
    /// <param name="name">Names the task.</param>
    /// <param name="set">All images.</param>
    /// <param name="pool">The pool of the task.</param>
    /// <param name="isTest">From an image's index and the number of images of its class before it.</param>
    private static ImageTask Split(string name, ImageSet set, Pool pool, Func<int, int, bool> isTest)
    {
        List<int> train = [], test = [];
        var seen = new int[set.Classes.Length];
        for (var i = 0; i < set.Count; i++) (isTest(i, seen[set.Labels[i]]++) ? test : train).Add(i);
        return new(name, set.Subset([.. train]), set.Subset([.. test]), pool);
    }
}
